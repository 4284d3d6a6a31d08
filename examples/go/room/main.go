// The room of examples/events in Go, with nothing but the standard library: prints what is said
// there, and says each line of its input.
//
//	cd examples/go && go run ./room [http://localhost:8091/room]
//
// It listens to an event stream (SSE) of signalbox.v1 frames, and speaks by POST. Whatever
// connection is lost, what comes is printed once and in order, because it resumes behind the last
// message that it saw; and each line is published once, because a line that was not answered is
// posted again under the same Idempotency-Key.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	mathrand "math/rand"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

type frame struct {
	Type      string
	ID        string
	ClientID  string
	Name      string
	Resume    string
	Recovered *bool
	RetryMs   *int64
	Reason    string
	Data      json.RawMessage
	Limits    struct{ PingMs, IDSeconds int64 }
}

// A room is who we are and where we stand: the listener writes it, the speaker reads it.
type room struct {
	url      string
	position string // the latest id of the stream

	mutex sync.Mutex
	hello frame // of the latest connection
}

func main() {
	log.SetFlags(0)
	r := &room{url: "http://localhost:8091/room"}
	if len(os.Args) > 1 {
		r.url = os.Args[1]
	}
	mathrand.Seed(time.Now().UnixNano())
	go r.speak(os.Stdin)
	for {
		isFinal, retry, err := r.listen()
		if err != nil {
			log.Printf("(%v)", err)
		}
		if isFinal {
			return
		}
		time.Sleep(retry)
	}
}

// listen prints one stream until it ends. isFinal: the server does not want us back; else it does
// after so long.
func (r *room) listen() (isFinal bool, retry time.Duration, err error) {
	retry = time.Duration(500+mathrand.Intn(1000)) * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	silence := time.AfterFunc(20*time.Second, cancel) // for the answer; later for the next frame
	defer silence.Stop()

	request, err := http.NewRequestWithContext(ctx, "GET", r.address(), nil)
	if err != nil {
		return true, 0, err
	}
	request.Header.Set("Accept", "text/event-stream")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, retry, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return answer.StatusCode < 500, retry, fmt.Errorf("refused: %s", answer.Status)
	}

	for lines := bufio.NewReader(answer.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return false, retry, err
		}
		if !strings.HasPrefix(line, "data: ") {
			continue
		}
		var f frame
		if err := json.Unmarshal([]byte(line[len("data: "):]), &f); err != nil {
			return false, retry, err
		}
		if f.Type == "closed" {
			if f.RetryMs == nil {
				return true, 0, fmt.Errorf("closed: %s", f.Reason)
			}
			retry = time.Duration(*f.RetryMs) * time.Millisecond
		}
		r.on(f)
		silence.Reset(3 * time.Duration(r.hello.Limits.PingMs) * time.Millisecond)
	}
}

func (r *room) address() string {
	query := url.Values{"signalbox": {"v1"}}
	if r.hello.Resume != "" {
		query.Set("signalbox-resume", r.hello.Resume+"~"+r.position)
	}
	return r.url + "?" + query.Encode()
}

func (r *room) on(f frame) {
	switch f.Type {
	case "hello":
		r.mutex.Lock()
		r.hello = f
		r.mutex.Unlock()
		if f.Recovered != nil && !*f.Recovered {
			fmt.Println("(messages are missing here)")
		}
		if f.Recovered == nil || !*f.Recovered {
			r.position = f.ID // else what was missed follows, and the position moves with it
		}
	case "message":
		r.position = f.ID
		fmt.Println(string(f.Data))
	case "position":
		r.position = f.ID
	}
}

// speak says each line, one after the other: the next one only when the last has an answer.
func (r *room) speak(input io.Reader) {
	for lines := bufio.NewScanner(input); lines.Scan(); {
		body, _ := json.Marshal(map[string]string{"message": lines.Text()})
		var key [16]byte
		if _, err := rand.Read(key[:]); err != nil {
			log.Fatal(err)
		}
		if err := r.say(body, fmt.Sprintf("%x", key)); err != nil {
			log.Printf("(%v: %s)", err, lines.Text())
		}
	}
}

// say posts a message until there is an answer, but not for longer than the server remembers its
// key.
func (r *room) say(body []byte, key string) error {
	var began time.Time
	for {
		r.mutex.Lock()
		hello := r.hello
		r.mutex.Unlock()
		if hello.ClientID == "" {
			time.Sleep(100 * time.Millisecond) // not connected yet
			continue
		}
		if began.IsZero() {
			began = time.Now()
		} else if time.Since(began) > time.Duration(hello.Limits.IDSeconds)*time.Second {
			return fmt.Errorf("nobody knows whether this was said")
		}
		isDone, err := r.post(hello, body, key)
		if isDone {
			return err
		}
		time.Sleep(time.Duration(500+mathrand.Intn(1000)) * time.Millisecond)
	}
}

// post is one attempt. Not done: another one may help, since the server was busy, or the connection
// is not back yet.
func (r *room) post(hello frame, body []byte, key string) (isDone bool, err error) {
	request, err := http.NewRequest("POST", r.url, bytes.NewReader(body))
	if err != nil {
		return true, err
	}
	request.Header.Set("X-PODE-SIGNAL-CLIENT-ID", hello.ClientID)
	request.Header.Set("X-PODE-SIGNAL-NAME", hello.Name)
	request.Header.Set("Idempotency-Key", `"`+key+`"`)
	answer, err := (&http.Client{Timeout: 15 * time.Second}).Do(request)
	if err != nil {
		return false, nil
	}
	defer answer.Body.Close()
	switch status := answer.StatusCode; {
	case status == http.StatusAccepted:
		return true, nil
	case status == http.StatusNotFound, status == http.StatusConflict,
		status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable,
		status == http.StatusGatewayTimeout:
		return false, nil
	default:
		why, _ := io.ReadAll(answer.Body)
		return true, fmt.Errorf("refused: %s %s", answer.Status, bytes.TrimSpace(why))
	}
}
