// Java's HttpClient. Usage: see README.md.
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

public class Client {
    static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char each : text.toCharArray()) {
            if (each < ' ' || each == '"' || each == '\\' || each > '~') {
                out.append(String.format("\\u%04x", (int) each));
            } else {
                out.append(each);
            }
        }
        return out.append('"').toString();
    }

    static void send(HttpRequest request) throws InterruptedException {
        try {
            HttpResponse<String> answer =
                    HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
            System.out.printf("{\"status\": %d, \"body\": %s}%n", answer.statusCode(), quoted(answer.body()));
        } catch (IOException error) {
            System.out.printf("{\"error\": %s}%n", quoted(error.toString()));
        }
    }

    public static void main(String[] arguments) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(arguments[1]));
        if (arguments[0].equals("post")) {
            for (int at = 4; at < arguments.length; at++) {
                String[] header = arguments[at].split(": ", 2);
                request.header(header[0], header[1]);
            }
            for (int count = 0; count < Integer.parseInt(arguments[3]); count++) {
                send(request.POST(HttpRequest.BodyPublishers.ofFile(Path.of(arguments[2]))).build());
            }
        } else { // HttpClient has no forms of its own
            String boundary = Long.toHexString(System.nanoTime());
            StringBuilder form = new StringBuilder();
            for (int at = 2; at < arguments.length; at += 2) {
                form.append("--" + boundary + "\r\ncontent-disposition: form-data; name=\"" + arguments[at]
                        + "\"\r\n\r\n" + arguments[at + 1] + "\r\n");
            }
            form.append("--" + boundary + "--\r\n");
            request.header("content-type", "multipart/form-data; boundary=" + boundary);
            send(request.POST(HttpRequest.BodyPublishers.ofString(form.toString(), StandardCharsets.UTF_8)).build());
        }
    }
}
