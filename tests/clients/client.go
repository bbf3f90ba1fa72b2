// Go's net/http. Usage: see README.md.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func send(url string, body io.Reader, headers [][2]string) map[string]any {
	request, err := http.NewRequest("POST", url, body)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	for _, header := range headers {
		request.Header.Set(header[0], header[1])
	}
	client := &http.Client{Transport: &http.Transport{}}
	answer, err := client.Do(request)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"status": answer.StatusCode, "body": string(text)}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	verb, url, rest := os.Args[1], os.Args[2], os.Args[3:]
	output := json.NewEncoder(os.Stdout)
	if verb == "post" {
		tries, err := strconv.Atoi(rest[1])
		check(err)
		var headers [][2]string
		for _, header := range rest[2:] {
			name, value, _ := strings.Cut(header, ": ")
			headers = append(headers, [2]string{name, value})
		}
		for range tries {
			file, err := os.Open(rest[0]) // of no known length for net/http: the body is sent in chunks
			check(err)
			check(output.Encode(send(url, file, headers)))
			file.Close()
		}
		return
	}
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	for at := 0; at < len(rest); at += 2 {
		check(writer.WriteField(rest[at], rest[at+1]))
	}
	check(writer.Close())
	check(output.Encode(send(url, &form, [][2]string{{"content-type", writer.FormDataContentType()}})))
}
