// Publishes a message from a program that is no client, to the HTTP API of an admin listener.
//
//	cd examples/go && go run ./publish http://127.0.0.1:9090 Room '{"text":"hello"}' [KEY]
//
// It tries until the message is accepted. Since each attempt has the same key, the message is
// published once, however many of them got through. KEY is that key, for a message that has a
// natural one, such as the number of an order. SIGNALBOX_TOKEN is the admin token (`signalbox up`
// keeps it in .signalbox/admin-token).
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 4 || len(os.Args) > 5 {
		log.Fatal("usage: publish URL NAME JSON [KEY]")
	}
	body, err := json.Marshal(map[string]any{"name": os.Args[2], "data": json.RawMessage(os.Args[3])})
	if err != nil {
		log.Fatal(err)
	}
	key := randomKey()
	if len(os.Args) == 5 {
		key = os.Args[4]
	}
	for {
		answer, err := post(os.Args[1]+"/send", body, key)
		if err == nil {
			fmt.Println(answer)
			return
		}
		log.Printf("not accepted, trying again: %v", err)
		time.Sleep(time.Second)
	}
}

func randomKey() string {
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		log.Fatal(err)
	}
	return fmt.Sprintf("%x", key)
}

// post returns the answer to an accepted message, or why another attempt may help. It exits when
// none can.
func post(url string, body []byte, key string) (string, error) {
	request, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("SIGNALBOX_TOKEN"))
	request.Header.Set("Idempotency-Key", key)
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	text = bytes.TrimSpace(text)
	switch {
	case answer.StatusCode == http.StatusAccepted:
		return string(text), nil
	case answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests:
		log.Fatalf("refused: %s %s", answer.Status, text)
	}
	return "", fmt.Errorf("%s %s", answer.Status, text)
}
