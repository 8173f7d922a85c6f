// A peer for the interop specs: Go's spdystream, told on its command line whom to dial, and by its streams' headers what
// to do. With "-" for an address it listens, and prints its own.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/spdystream"
)

func main() {
	var socket net.Conn
	var err error
	server := os.Args[1] == "-"
	if server {
		listener, failed := net.Listen("tcp", "127.0.0.1:0")
		check(failed)
		fmt.Println(listener.Addr().String())
		socket, err = listener.Accept()
	} else {
		socket, err = net.Dial("tcp", os.Args[1])
	}
	check(err)
	connection, err := spdystream.NewConnection(socket, server)
	check(err)
	go connection.Serve(serve)
	// Commands on stdin, one line each, with one line as the answer.
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		go func() {
			result := run(connection, words)
			printing.Lock()
			defer printing.Unlock()
			fmt.Println(words[0], result)
		}()
	}
}

var printing sync.Mutex

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

// serve answers one stream of ours as its header "play" says.
func serve(stream *spdystream.Stream) {
	headers := stream.Headers()
	play := headers.Get("play")
	size := 0
	if headers.Get("size") != "" {
		size = number(headers.Get("size"))
	}
	switch play {
	case "refuse":
		stream.Refuse()
		return
	case "reset":
		stream.Reset()
		return
	case "mute":
		return
	}
	reply := http.Header{}
	for name, values := range headers {
		if strings.HasPrefix(name, "X-") {
			reply[name] = values
		}
	}
	stream.SendReply(reply, false)
	switch play {
	case "send":
		go send(stream, size, 32*1024)
	case "frame":
		go send(stream, size, size)
	case "half":
		// Ends its own half first, then reads all.
		go func() {
			stream.Write([]byte("first"))
			stream.Close()
			io.Copy(io.Discard, stream)
		}()
	case "stall":
		// Never reads.
	case "cut":
		go func() {
			stream.Write(make([]byte, size))
			stream.Reset()
			// Go goes on, and nothing stops it.
			stream.Write(make([]byte, 1000))
			stream.Close()
		}()
	case "trailers":
		go func() {
			stream.Write([]byte("body"))
			stream.SendHeader(http.Header{"X-Status": {"done", "well"}}, true)
			io.Copy(io.Discard, stream)
		}()
	case "headers":
		go func() {
			header, err := stream.ReceiveHeader()
			if err != nil {
				stream.Write([]byte(err.Error()))
			} else {
				stream.Write([]byte(strings.Join(header["X-Status"], ",")))
			}
			stream.Close()
		}()
	case "sum":
		go func() {
			hash := sha256.New()
			count, _ := io.Copy(hash, stream)
			fmt.Fprintf(stream, "%d %s", count, hex.EncodeToString(hash.Sum(nil)))
			stream.Close()
		}()
	default:
		go func() {
			io.Copy(stream, stream)
			stream.Close()
		}()
	}
}

// send writes bytes that anybody can make, and ends.
func send(stream *spdystream.Stream, size int, piece int) {
	buffer := make([]byte, piece)
	for at := 0; at < size; at += piece {
		length := piece
		if size-at < piece {
			length = size - at
		}
		fill(buffer[:length], at)
		if _, err := stream.Write(buffer[:length]); err != nil {
			return
		}
	}
	stream.Close()
	io.Copy(io.Discard, stream)
}

func fill(buffer []byte, at int) {
	for i := range buffer {
		buffer[i] = byte((at + i) * 31 >> 3)
	}
}

func open(connection *spdystream.Connection, headers http.Header) (*spdystream.Stream, error) {
	stream, err := connection.CreateStream(headers, nil, false)
	if err != nil {
		return nil, err
	}
	return stream, stream.WaitTimeout(20 * time.Second)
}

func run(connection *spdystream.Connection, words []string) string {
	switch words[0] {
	case "ping":
		if _, err := connection.Ping(); err != nil {
			return err.Error()
		}
		return "pong"
	case "close":
		connection.SetCloseTimeout(5 * time.Second)
		if err := connection.CloseWait(); err != nil {
			return err.Error()
		}
		return "closed"
	case "open":
		// open <header=value>… : the bytes that come, as text
		headers := http.Header{}
		for _, word := range words[1:] {
			pair := strings.SplitN(word, "=", 2)
			headers.Add(pair[0], pair[1])
		}
		stream, err := open(connection, headers)
		if err != nil {
			return "failed: " + err.Error()
		}
		stream.Close()
		text, err := io.ReadAll(stream)
		if err != nil {
			return "failed: " + err.Error()
		}
		return string(text)
	case "echo":
		// echo <streams> <at once> <bytes> : how many came back as they went
		streams, most, size := number(words[1]), number(words[2]), number(words[3])
		return strconv.Itoa(echoes(connection, streams, most, size))
	case "sum", "frame":
		// sum <bytes> : what the other end says that it has received
		size := number(words[1])
		piece := 32 * 1024
		if words[0] == "frame" {
			piece = size
		}
		stream, err := open(connection, http.Header{"Play": {"sum"}})
		if err != nil {
			return "failed: " + err.Error()
		}
		buffer := make([]byte, piece)
		for at := 0; at < size; at += piece {
			length := piece
			if size-at < piece {
				length = size - at
			}
			fill(buffer[:length], at)
			if _, err := stream.Write(buffer[:length]); err != nil {
				return "failed: " + err.Error()
			}
		}
		stream.Close()
		text, err := io.ReadAll(stream)
		if err != nil {
			return "failed: " + err.Error()
		}
		return string(text)
	}
	return "no such command"
}

func echoes(connection *spdystream.Connection, streams int, most int, size int) int {
	var group sync.WaitGroup
	var lock sync.Mutex
	good := 0
	slots := make(chan bool, most)
	for index := 0; index < streams; index++ {
		slots <- true
		group.Add(1)
		go func(index int) {
			defer group.Done()
			defer func() { <-slots }()
			stream, err := open(connection, http.Header{"X-Index": {strconv.Itoa(index)}})
			if err != nil {
				return
			}
			sent := make([]byte, size)
			fill(sent, index)
			go func() {
				stream.Write(sent)
				stream.Close()
			}()
			received, err := io.ReadAll(stream)
			if err != nil || sha256.Sum256(received) != sha256.Sum256(sent) {
				return
			}
			lock.Lock()
			good++
			lock.Unlock()
		}(index)
	}
	group.Wait()
	return good
}
