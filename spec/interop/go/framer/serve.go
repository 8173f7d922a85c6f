package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pattern is what `source` sends: the byte at offset i is (i*31+7) mod 251.
type pattern struct{ at, size int64 }

func patternByte(i int64) byte { return byte((i%251*31 + 7) % 251) }

func (p *pattern) Read(b []byte) (n int, err error) {
	for ; n < len(b) && p.at < p.size; n++ {
		b[n] = patternByte(p.at)
		p.at++
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func patternBytes(n int) []byte {
	b, _ := io.ReadAll(&pattern{size: int64(n)})
	return b
}

// checker is a Writer that compares with the pattern.
type checker struct{ n int64 }

func (c *checker) Write(b []byte) (int, error) {
	for i, v := range b {
		if v != patternByte(c.n) {
			return i, fmt.Errorf("wrong byte at %d", c.n)
		}
		c.n++
	}
	return len(b), nil
}

// copyData copies with a buffer of its own, so that no io.ReaderFrom gets in between.
func copyData(w io.Writer, r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 32<<10))
}

func number(h Headers, name string, def int64) int64 {
	n, err := strconv.ParseInt(h.Get(name), 10, 64)
	if err != nil || n < 0 {
		return def
	}
	return n
}

// serveStream does what the header `op` of a stream asks for.
func serveStream(s *Stream) {
	if err := runOp(s); err != nil {
		var reset *ResetError
		var stop *StopError
		if !errors.As(err, &reset) && !errors.As(err, &stop) {
			s.Reset(codeInternalError, err.Error())
		}
	}
}

func runOp(s *Stream) error {
	h := s.Request()
	after := number(h, "after", 0)
	switch op := h.Get("op"); op {
	case "echo":
		return echo(s)
	case "sink":
		return sink(s, 0)
	case "slow":
		return sink(s, time.Duration(number(h, "ms", 100))*time.Millisecond)
	case "source":
		if err := s.Accept(nil); err != nil {
			return err
		}
		if _, err := copyData(s, &pattern{size: number(h, "size", 0)}); err != nil {
			return err
		}
		return end(s)
	case "refuse":
		return s.Refuse(Code(number(h, "code", int64(codeRefused))), "no thanks", Headers{{"x-why", "test"}})
	case "reset":
		if err := s.Accept(nil); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, s, after); err != nil {
			return err
		}
		s.Reset(Code(number(h, "code", int64(codeCancel))), "as asked")
		return nil
	case "stop":
		if err := s.Accept(nil); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, s, after); err != nil {
			return err
		}
		s.Stop(codeCancel)
		if _, err := s.Write([]byte("stopped")); err != nil {
			return err
		}
		return end(s)
	case "dial-back":
		return dialBack(s, int(number(h, "count", 1)))
	default:
		return s.Refuse(codeRefused, "unknown op "+op, nil)
	}
}

// end ends our half, and waits for the end of the peer's.
func end(s *Stream) error {
	if err := s.CloseWrite(); err != nil {
		return err
	}
	_, err := copyData(io.Discard, s)
	if err == errEnded { // stopped by us
		err = s.WaitEnd()
	}
	return err
}

func echo(s *Stream) error {
	var reply Headers
	for _, e := range s.Request() {
		if strings.HasPrefix(e.Name, "x-") {
			reply = append(reply, e)
		}
	}
	if err := s.Accept(reply); err != nil {
		return err
	}
	n, err := copyData(s, s)
	if err != nil {
		return err
	}
	if s.Request().Get("trailers") == "yes" {
		return s.CloseTrailers(Headers{{"x-count", fmt.Sprint(n)}})
	}
	return s.CloseWrite()
}

func sink(s *Stream, wait time.Duration) error {
	if err := s.Accept(nil); err != nil {
		return err
	}
	time.Sleep(wait)
	sum := sha256.New()
	if _, err := copyData(sum, s); err != nil {
		return err
	}
	if _, err := s.Write([]byte(hex.EncodeToString(sum.Sum(nil)))); err != nil {
		return err
	}
	return s.CloseWrite()
}

func dialBack(s *Stream, count int) error {
	if err := s.Accept(nil); err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	good := 0
	slots := make(chan struct{}, 256)
	for i := 0; i < count; i++ {
		i := i
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			_, err := echoOnce(s.c, Headers{{"op", "echo"}, {"x-n", fmt.Sprint(i)}}, 1000)
			if err == nil {
				mu.Lock()
				good++
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	if _, err := s.Write([]byte(fmt.Sprint(good))); err != nil {
		return err
	}
	return end(s)
}

// echoOnce sends n bytes of pattern to an `echo`, and checks what comes back; refused streams are tried again.
// It tells how often.
func echoOnce(c *Conn, h Headers, n int) (retries int, err error) {
	wait := 2 * time.Millisecond
	for {
		err = tryEcho(c, h, n)
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Code != codeRefused || retries == 200 {
			return retries, err
		}
		retries++
		time.Sleep(wait)
		if wait < 100*time.Millisecond {
			wait += wait / 2
		}
	}
}

func tryEcho(c *Conn, h Headers, n int) error {
	small := n <= 100 // one frame
	var first []byte
	if small {
		first = patternBytes(n)
	}
	s, err := c.Open(h, 3, first, small)
	if err != nil {
		return err
	}
	defer s.Close()
	if !small {
		// What comes back is read meanwhile: else both ends may wait for the other's credit.
		go s.write(patternBytes(n), true, nil)
	}
	reply, err := s.Answer()
	if err != nil {
		return err
	}
	var want Headers
	for _, e := range h {
		if strings.HasPrefix(e.Name, "x-") {
			want = append(want, e)
		}
	}
	if reply.String() != want.String() {
		return fmt.Errorf("reply headers %v, not %v", reply, want)
	}
	var ck checker
	if _, err := copyData(&ck, s); err != nil {
		return err
	}
	if ck.n != int64(n) {
		return fmt.Errorf("echo of %d bytes, not %d", ck.n, n)
	}
	return nil
}

// network splits an address: host:port, or unix:path.
func network(addr string) (string, string) {
	if path := strings.TrimPrefix(addr, "unix:"); path != addr {
		return "unix", path
	}
	return "tcp", addr
}

// serve accepts connections until the listener is closed.
func serve(l net.Listener, cfg Config, ended func(error)) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		c := start(nc, cfg)
		go func() {
			<-c.Done()
			if ended != nil {
				ended(c.Err())
			}
		}()
	}
}
