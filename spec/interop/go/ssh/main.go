// Speaks SSH with rxmux, as client or as server, and does what it is told: `main server` prints its port, `main client
// PORT` dials. Streams that come in do what their header `play` says. A line of standard input opens streams: `open
// PLAY COUNT SIZE`; the answer is a line too.
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	rxmux "../../../../lib/ssh/go"
	"golang.org/x/crypto/ssh"
)

func main() {
	plain := len(os.Args) > 1 && os.Args[len(os.Args)-1] == "plain"
	version := rxmux.Version
	if plain {
		version = "SSH-2.0-Go"
	}
	conn, channels, requests := meet(version)
	// Right behind the login: the other end must not lose it.
	go func() { fmt.Println("early", play(conn, "echo", 1000)) }()
	go ssh.DiscardRequests(requests)
	go func() {
		for opening := range channels {
			go serve(opening)
		}
	}()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		fmt.Println(do(conn, words))
	}
	conn.Close()
}

func meet(version string) (ssh.Conn, <-chan ssh.NewChannel, <-chan *ssh.Request) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	signer, err := ssh.NewSignerFromKey(key)
	check(err)
	if os.Args[1] == "client" {
		socket, err := net.Dial("tcp", "127.0.0.1:"+os.Args[2])
		check(err)
		conn, channels, requests, err := ssh.NewClientConn(socket, "rxmux", &ssh.ClientConfig{
			User:            "gopher",
			Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer)},
			HostKeyCallback: ssh.InsecureIgnoreHostKey(),
			ClientVersion:   version,
		})
		check(err)
		return conn, channels, requests
	}
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil },
		ServerVersion:     version,
	}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	socket, err := listener.Accept()
	check(err)
	conn, channels, requests, err := ssh.NewServerConn(socket, config)
	check(err)
	return conn, channels, requests
}

func serve(opening ssh.NewChannel) {
	if opening.ChannelType() != rxmux.ChannelType {
		opening.Reject(ssh.UnknownChannelType, "there are only streams here")
		return
	}
	headers, _ := rxmux.Decode(opening.ExtraData())
	what := find(headers, "play")
	switch what {
	case "reject":
		opening.Reject(ssh.ResourceShortage, "no room")
		return
	case "forbid":
		opening.Reject(ssh.Prohibited, "not for you")
		return
	case "bare":
		// As a program does that knows nothing of reply headers.
		channel, requests, err := opening.Accept()
		if err == nil {
			go ssh.DiscardRequests(requests)
			io.Copy(channel, channel)
			channel.CloseWrite()
		}
		return
	}
	stream, err := rxmux.Accept(opening, append([]rxmux.Header{{Name: "x-answer", Value: "go"}}, headers...))
	if err != nil {
		return
	}
	switch what {
	case "echo":
		io.Copy(stream, stream)
		stream.End([]rxmux.Header{{Name: "x-sum", Value: "none"}})
	case "half":
		hash := sha256.New()
		io.Copy(hash, stream)
		fmt.Fprintf(stream, "%x", hash.Sum(nil))
		stream.End(nil)
	case "reset":
		stream.Reset(1234, "as agreed")
	case "close":
		stream.Close()
	case "take":
		n, err := io.Copy(io.Discard, stream)
		stream.End(nil)
		fmt.Println("took", n, err)
	}
}

func do(conn ssh.Conn, words []string) string {
	count, _ := strconv.Atoi(words[2])
	size, _ := strconv.Atoi(words[3])
	var wait sync.WaitGroup
	results := make([]string, count)
	for at := range results {
		wait.Add(1)
		go func(at int) {
			defer wait.Done()
			results[at] = play(conn, words[1], size)
		}(at)
	}
	wait.Wait()
	sums := map[string]int{}
	for _, result := range results {
		sums[strings.ReplaceAll(result, "\n", " | ")]++
	}
	return fmt.Sprint("open ", sums)
}

// play opens one stream, and says what became of it.
func play(conn ssh.Conn, what string, size int) string {
	if what == "unknown" {
		_, _, err := conn.OpenChannel("no-such-type", nil)
		return err.Error()
	}
	stream, err := rxmux.Open(conn, []rxmux.Header{{Name: "play", Value: what}, {Name: "x-two", Value: "a"}, {Name: "x-two", Value: "b"}})
	if err != nil {
		return err.Error()
	}
	switch what {
	case "headers":
		reply := stream.Reply()
		stream.End(nil)
		io.Copy(io.Discard, stream)
		return fmt.Sprint(reply, stream.Trailers())
	case "reset":
		_, err := io.Copy(io.Discard, stream)
		var reset *rxmux.ResetError
		if errors.As(err, &reset) {
			return fmt.Sprint("reset ", reset.Code)
		}
		return fmt.Sprint("no reset: ", err)
	case "leave":
		stream.Write([]byte("begun"))
		stream.Close()
		return "left"
	}
	sent := bytes.Repeat([]byte("rxmux go "), size/9+1)[:size]
	go func() {
		stream.Write(sent)
		stream.End(nil)
	}()
	got, err := io.ReadAll(stream)
	if err != nil || !bytes.Equal(got, sent) {
		return fmt.Sprint("wrong: ", len(got), " bytes, ", err)
	}
	stream.Close()
	return "ok"
}

func find(headers []rxmux.Header, name string) string {
	for _, header := range headers {
		if header.Name == name {
			return header.Value
		}
	}
	return ""
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
