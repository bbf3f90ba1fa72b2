document.title = "kv-batch console";
