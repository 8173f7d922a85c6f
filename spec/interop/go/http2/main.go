// The other end of the HTTP/2 specs: golang.org/x/net/http2 as a client and as a server, with prior knowledge.
//
//	http2 serve                      prints its port, and serves until its stdin ends
//	http2 echo ADDRESS BYTES         sends noise and prints what came back
//	http2 many ADDRESS COUNT         so many requests at once
//	http2 lines ADDRESS COUNT        line by line, each once the last has come back
//	http2 late ADDRESS BYTES         reads the whole answer, and sends noise after that
//	http2 trailers ADDRESS           prints headers and trailers of the answer
//	http2 cancel ADDRESS             gives up in mid request
//	http2 fate ADDRESS               prints how reading the answer ends
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http2"
)

// noise is the generator of http2-echo.ts: no pattern of any length, in pieces of 64 KiB.
type noise struct {
	left  int
	state uint32
	rest  []byte
}

func newNoise(bytes int) *noise { return &noise{left: bytes, state: 1} }

func (n *noise) Read(into []byte) (int, error) {
	if n.left == 0 {
		return 0, io.EOF
	}
	if len(n.rest) == 0 {
		n.rest = make([]byte, 65536)
		for at := 0; at < len(n.rest); at += 4 {
			n.state = n.state*1664525 + 1013904223
			binary.LittleEndian.PutUint32(n.rest[at:], n.state)
		}
	}
	if len(into) > n.left {
		into = into[:n.left]
	}
	count := copy(into, n.rest)
	n.rest = n.rest[count:]
	n.left -= count
	return count, nil
}

type result map[string]interface{}

func say(values result) {
	if err := json.NewEncoder(os.Stdout).Encode(values); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func digest(from io.Reader) (int64, string, error) {
	hash := sha256.New()
	count, err := io.Copy(hash, from)
	return count, hex.EncodeToString(hash.Sum(nil)), err
}

// ---- the server

type flushing struct{ http.ResponseWriter }

func (f flushing) Write(bytes []byte) (int, error) {
	count, err := f.ResponseWriter.Write(bytes)
	f.ResponseWriter.(http.Flusher).Flush()
	return count, err
}

func handle(w http.ResponseWriter, r *http.Request) {
	flush := w.(http.Flusher).Flush
	switch r.URL.Path {
	case "/late":
		count, hash, _ := digest(r.Body)
		fmt.Fprintf(w, "%d %s", count, hash)
	case "/give":
		bytes, _ := strconv.Atoi(r.Header.Get("x-bytes"))
		io.Copy(w, newNoise(bytes))
	case "/headers":
		for _, value := range r.Header["X-Mine"] {
			w.Header().Add("x-list", value)
		}
		w.Header().Set("trailer", "x-sum")
		w.WriteHeader(200)
		flush()
		io.Copy(io.Discard, r.Body)
		w.Header().Set("x-sum", "3")
	case "/refuse":
		w.WriteHeader(404)
	case "/abort":
		w.WriteHeader(200)
		io.WriteString(w, "half of i")
		flush()
		panic(http.ErrAbortHandler)
	case "/early":
		// Its half is over before it has read anything.
		w.WriteHeader(200)
		io.WriteString(w, "done here")
	default:
		w.WriteHeader(200)
		flush()
		io.Copy(flushing{w}, r.Body)
	}
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	server := &http2.Server{MaxConcurrentStreams: 2000}
	for {
		conn, err := listener.Accept()
		if err != nil {
			fail(err)
		}
		go server.ServeConn(conn, &http2.ServeConnOpts{Handler: http.HandlerFunc(handle)})
	}
}

// ---- the client

func newClient() *http.Client {
	return &http.Client{Transport: &http2.Transport{
		AllowHTTP:                  true,
		StrictMaxConcurrentStreams: true,
		DialTLS: func(network, address string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, address)
		},
	}}
}

func post(ctx context.Context, address string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, "POST", "http://"+address+"/", body)
	if err != nil {
		return nil, err
	}
	request.Header["X-Mine"] = []string{"a", "b"}
	return newClientOnce().Do(request)
}

var once sync.Once
var client *http.Client

func newClientOnce() *http.Client {
	once.Do(func() { client = newClient() })
	return client
}

func echo(address string, bytes int) {
	response, err := post(context.Background(), address, newNoise(bytes))
	if err != nil {
		fail(err)
	}
	count, hash, err := digest(response.Body)
	if err != nil {
		fail(err)
	}
	say(result{"bytes": count, "hash": hash})
}

func many(address string, count int) {
	var all sync.WaitGroup
	var lock sync.Mutex
	right := 0
	for number := 0; number < count; number++ {
		all.Add(1)
		go func(number int) {
			defer all.Done()
			text := fmt.Sprintf("request %d", number)
			response, err := post(context.Background(), address, strings.NewReader(text))
			if err != nil {
				return
			}
			back, err := io.ReadAll(response.Body)
			if err == nil && string(back) == text {
				lock.Lock()
				right++
				lock.Unlock()
			}
		}(number)
	}
	all.Wait()
	say(result{"right": right})
}

func lines(address string, count int) {
	reader, writer := io.Pipe()
	response, err := post(context.Background(), address, reader)
	if err != nil {
		fail(err)
	}
	back := bufio.NewReader(response.Body)
	for number := 0; number < count; number++ {
		text := fmt.Sprintf("line %d\n", number)
		if _, err := io.WriteString(writer, text); err != nil {
			fail(err)
		}
		if line, err := back.ReadString('\n'); err != nil || line != text {
			fail(fmt.Errorf("%q came back for %q: %v", line, text, err))
		}
	}
	writer.Close()
	rest, err := io.ReadAll(back)
	if err != nil {
		fail(err)
	}
	say(result{"lines": count, "rest": len(rest)})
}

func late(address string, bytes int) {
	reader, writer := io.Pipe()
	response, err := post(context.Background(), address, reader)
	if err != nil {
		fail(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		fail(err)
	}
	if _, err := io.Copy(writer, newNoise(bytes)); err != nil {
		fail(err)
	}
	writer.Close()
	say(result{"body": string(body)})
	// The connection goes with the process: what was sent is to be read first.
	io.Copy(io.Discard, os.Stdin)
}

func trailers(address string) {
	response, err := post(context.Background(), address, strings.NewReader("body"))
	if err != nil {
		fail(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		fail(err)
	}
	say(result{"status": response.StatusCode, "list": response.Header["X-List"], "body": string(body), "sum": response.Trailer.Get("x-sum")})
}

func cancel(address string) {
	ctx, giveUp := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	response, err := post(ctx, address, reader)
	if err != nil {
		fail(err)
	}
	if _, err := io.WriteString(writer, "begun"); err != nil {
		fail(err)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, 5)); err != nil {
		fail(err)
	}
	giveUp()
	// It says so only once the body that it reads from lets go.
	writer.CloseWithError(context.Canceled)
	_, err = io.ReadAll(response.Body)
	say(result{"error": err.Error()})
	// The connection goes with the process: its RST_STREAM is to be there first.
	io.Copy(io.Discard, os.Stdin)
}

func fate(address string) {
	response, err := post(context.Background(), address, nil)
	if err != nil {
		var reset http2.StreamError
		say(result{"error": err.Error(), "reset": errors.As(err, &reset), "code": uint32(reset.Code)})
		return
	}
	body, err := io.ReadAll(response.Body)
	var reset http2.StreamError
	isReset := errors.As(err, &reset)
	say(result{"status": response.StatusCode, "body": string(body), "reset": isReset, "code": uint32(reset.Code)})
}

func main() {
	number := func() int {
		value, err := strconv.Atoi(os.Args[3])
		if err != nil {
			fail(err)
		}
		return value
	}
	switch os.Args[1] {
	case "serve":
		serve()
	case "echo":
		echo(os.Args[2], number())
	case "many":
		many(os.Args[2], number())
	case "lines":
		lines(os.Args[2], number())
	case "late":
		late(os.Args[2], number())
	case "trailers":
		trailers(os.Args[2])
	case "cancel":
		cancel(os.Args[2])
	case "fate":
		fate(os.Args[2])
	default:
		fail(fmt.Errorf("there is no %q", os.Args[1]))
	}
}
