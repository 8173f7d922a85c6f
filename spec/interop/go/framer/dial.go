package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// figures are what a scenario measured.
type figures map[string]any

type scenario struct {
	name string
	run  func(*Conn) (figures, error)
}

// scenarios run in this order with `all`; goaway ends the connection.
var scenarios = []scenario{
	{"ping", doPing},
	{"echo", doEcho},
	{"headers", doHeaders},
	{"half-close", doHalfClose},
	{"refuse", doRefuse},
	{"reset", doReset},
	{"stop", doStop},
	{"slow", doSlow},
	{"accept", doAccept},
	{"concurrent", doConcurrent},
	{"bulk", doBulk},
	{"goaway", doGoaway},
}

// runScenario runs one scenario by name, or all of them.
func runScenario(c *Conn, name string) (figures, error) {
	all := figures{}
	for _, s := range scenarios {
		if s.name != name && name != "all" {
			continue
		}
		f, err := s.run(c)
		if name != "all" || err != nil {
			if err != nil {
				err = fmt.Errorf("%s: %w", s.name, err)
			}
			return f, err
		}
		all[s.name] = f
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no scenario %q", name)
	}
	return all, nil
}

// open opens a stream of the usual urgency.
func open(c *Conn, end bool, data []byte, h ...Header) (*Stream, error) {
	return c.Open(h, 3, data, end)
}

func doPing(c *Conn) (figures, error) {
	rtt, err := c.Ping(5 * time.Second)
	return figures{"rttMicros": rtt.Microseconds()}, err
}

func doEcho(c *Conn) (figures, error) {
	const n = 100000
	_, err := echoOnce(c, Headers{{"op", "echo"}, {"x-a", "1"}, {"y", "not echoed"}, {"x-a", "2"}}, n)
	return figures{"bytes": n}, err
}

func doHeaders(c *Conn) (figures, error) {
	for i := 0; i < 11; i++ {
		h := Headers{{"op", "echo"}, {"x-one", fmt.Sprint(i)}, {"x-two", "Grüße " + fmt.Sprint(i*i)}}
		if _, err := echoOnce(c, h, i); err != nil {
			return nil, err
		}
	}
	return figures{"streams": 11}, nil
}

// sendHashed sends size bytes of pattern to a stream that answers with their SHA-256.
func sendHashed(s *Stream, size int64) error {
	defer s.Close()
	sum := sha256.New()
	if _, err := copyData(s, io.TeeReader(&pattern{size: size}, sum)); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(s)
	if err != nil {
		return err
	}
	if want := hex.EncodeToString(sum.Sum(nil)); string(got) != want {
		return fmt.Errorf("hash %q, not %s", got, want)
	}
	return nil
}

func doBulk(c *Conn) (figures, error) {
	const size = 64 << 20
	begin := time.Now()
	s, err := open(c, false, nil, Header{"op", "sink"})
	if err != nil {
		return nil, err
	}
	if err := sendHashed(s, size); err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	up := time.Since(begin)
	begin = time.Now()
	if s, err = open(c, true, nil, Header{"op", "source"}, Header{"size", fmt.Sprint(size)}); err != nil {
		return nil, err
	}
	defer s.Close()
	var ck checker
	if _, err := copyData(&ck, s); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	if ck.n != size {
		return nil, fmt.Errorf("source: %d bytes", ck.n)
	}
	rate := func(d time.Duration) int { return int(float64(size) / (1 << 20) / d.Seconds()) }
	return figures{"bytes": size, "upMiBs": rate(up), "downMiBs": rate(time.Since(begin))}, nil
}

func doConcurrent(c *Conn) (figures, error) {
	const streams = 1000
	var wg sync.WaitGroup
	var retries int64
	errs := make(chan error, streams)
	begin := time.Now()
	for i := 0; i < streams; i++ {
		i := i
		wg.Add(1)
		go func() {
			defer wg.Done()
			n, err := echoOnce(c, Headers{{"op", "echo"}, {"x-n", fmt.Sprint(i)}}, 1024)
			atomic.AddInt64(&retries, int64(n))
			if err != nil {
				errs <- fmt.Errorf("stream %d: %w", i, err)
			}
		}()
	}
	wg.Wait()
	f := figures{"streams": streams, "refused": retries, "ms": time.Since(begin).Milliseconds(), "failed": len(errs)}
	if len(errs) > 0 {
		return f, <-errs
	}
	return f, nil
}

// doHalfClose ends our half first and reads after that, with trailers; then the other way round.
func doHalfClose(c *Conn) (figures, error) {
	s, err := open(c, false, nil, Header{"op", "echo"}, Header{"trailers", "yes"})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if _, err := s.Write(patternBytes(900)); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	var ck checker
	if _, err := copyData(&ck, s); err != nil {
		return nil, err
	}
	if t := s.Trailers(); ck.n != 900 || t.Get("x-count") != "900" {
		return nil, fmt.Errorf("%d bytes, trailers %v", ck.n, t)
	}
	s2, err := open(c, false, nil, Header{"op", "source"}, Header{"size", "3000"})
	if err != nil {
		return nil, err
	}
	defer s2.Close()
	ck = checker{}
	if _, err := copyData(&ck, s2); err != nil || ck.n != 3000 {
		return nil, fmt.Errorf("source: %d bytes, %v", ck.n, err)
	}
	// The peer's half is over; ours goes on.
	if _, err := s2.Write(patternBytes(500)); err != nil {
		return nil, fmt.Errorf("our half: %w", err)
	}
	return figures{"trailers": s.Trailers().String()}, s2.CloseTrailers(Headers{{"x-late", "yes"}})
}

func wantRefused(c *Conn, code Code, reason, why string, h ...Header) error {
	s, err := open(c, false, []byte("in vain"), h...)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Answer()
	var r *RefusedError
	switch {
	case !errors.As(err, &r):
		return fmt.Errorf("%v: not refused: %v", h, err)
	case r.Code != code || reason != "" && r.Reason != reason || r.Headers.Get("x-why") != why:
		return fmt.Errorf("%v: %v %v", h, r, r.Headers)
	}
	return nil
}

func doRefuse(c *Conn) (figures, error) {
	if err := wantRefused(c, codeRefused, "no thanks", "test", Header{"op", "refuse"}); err != nil {
		return nil, err
	}
	if err := wantRefused(c, 1234, "no thanks", "test", Header{"op", "refuse"}, Header{"code", "1234"}); err != nil {
		return nil, err
	}
	s, err := open(c, true, nil, Header{"op", "no-such-op"})
	if err != nil {
		return nil, err
	}
	_, err = s.Answer()
	var r *RefusedError
	if !errors.As(err, &r) {
		return nil, fmt.Errorf("unknown op: %v", err)
	}
	return figures{"unknownOp": r.Code.String()}, nil
}

func doReset(c *Conn) (figures, error) {
	for _, code := range []Code{codeCancel, 300} {
		h := Headers{{"op", "reset"}, {"after", "1000"}}
		if code != codeCancel {
			h = append(h, Header{"code", fmt.Sprint(uint32(code))})
		}
		s, err := c.Open(h, 3, nil, false)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		for err == nil {
			_, err = s.Write(patternBytes(700))
		}
		var r *ResetError
		if !errors.As(err, &r) || r.Local || r.Code != code {
			return nil, fmt.Errorf("write: %v", err)
		}
		if _, err = s.Read(make([]byte, 1)); !errors.As(err, &r) {
			return nil, fmt.Errorf("read: %v", err)
		}
	}
	// Ours: the data that are on their way must not hurt the connection.
	for i := 0; i < 20; i++ {
		s, err := open(c, false, nil, Header{"op", "source"}, Header{"size", "10000000"})
		if err != nil {
			return nil, err
		}
		if _, err := s.Read(make([]byte, 1)); err != nil {
			return nil, err
		}
		s.Reset(300, "enough")
	}
	_, err := echoOnce(c, Headers{{"op", "echo"}}, 300000)
	return figures{"ours": 20}, err
}

func doStop(c *Conn) (figures, error) {
	s, err := open(c, false, nil, Header{"op", "stop"}, Header{"after", "5000"})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	sent := 0
	for err == nil {
		var n int
		n, err = s.Write(patternBytes(1000))
		sent += n
	}
	var stop *StopError
	if !errors.As(err, &stop) {
		return nil, fmt.Errorf("write: %v", err)
	}
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, []byte("stopped")) {
		return nil, fmt.Errorf("read: %q, %v", got, err)
	}
	// Ours: the peer's sending half must end.
	s2, err := open(c, true, nil, Header{"op", "source"}, Header{"size", "100000000"})
	if err != nil {
		return nil, err
	}
	defer s2.Close()
	if _, err := s2.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	s2.Stop(codeCancel)
	if err := s2.WaitEnd(); err != nil {
		return nil, fmt.Errorf("our stop: %w", err)
	}
	return figures{"sentBeforeStop": sent, "code": stop.Code.String()}, nil
}

// doSlow checks that a peer that does not read holds its stream back, and only that.
func doSlow(c *Conn) (figures, error) {
	const size = 1 << 20
	const ms = 400
	s, err := open(c, false, nil, Header{"op", "slow"}, Header{"ms", fmt.Sprint(ms)})
	if err != nil {
		return nil, err
	}
	if _, err := s.Answer(); err != nil {
		return nil, err
	}
	result := make(chan error, 1)
	c.mu.Lock()
	window := c.peerWindow // known: SETTINGS has come before the answer
	c.mu.Unlock()
	go func() { result <- sendHashed(s, size) }()
	time.Sleep(ms / 2 * time.Millisecond)
	c.mu.Lock()
	left := s.sendCredit
	c.mu.Unlock()
	if left > 0 && window < size {
		return nil, fmt.Errorf("%d of %d bytes of credit are left", left, window)
	}
	if window < size {
		select {
		case err := <-result:
			return nil, fmt.Errorf("not held back: %v", err)
		default:
		}
	}
	// A small echo passes.
	begin := time.Now()
	if _, err := echoOnce(c, Headers{{"op", "echo"}}, 1000); err != nil {
		return nil, err
	}
	aside := time.Since(begin)
	return figures{"bytes": size, "window": window, "echoMeanwhileMicros": aside.Microseconds()}, <-result
}

func doAccept(c *Conn) (figures, error) {
	s, err := open(c, true, nil, Header{"op", "dial-back"}, Header{"count", "50"})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	got, err := io.ReadAll(s)
	if err != nil || string(got) != "50" {
		return nil, fmt.Errorf("%q, %v", got, err)
	}
	return figures{"streams": 50}, nil
}

// doGoaway goes away with a stream open: it goes on, no other may be opened, and then the pipe ends.
func doGoaway(c *Conn) (figures, error) {
	s, err := open(c, false, nil, Header{"op", "echo"})
	if err != nil {
		return nil, err
	}
	if _, err := s.Write(patternBytes(1000)); err != nil {
		return nil, err
	}
	if _, err := s.Answer(); err != nil {
		return nil, err
	}
	c.Goaway()
	if _, err := open(c, true, nil, Header{"op", "echo"}); err != errGoingAway {
		return nil, fmt.Errorf("open after GOAWAY: %v", err)
	}
	rest := patternBytes(401000)[1000:]
	result := make(chan error, 1)
	go func() {
		_, err := s.Write(rest)
		if err == nil {
			err = s.CloseWrite()
		}
		result <- err
	}()
	var ck checker
	if _, err := copyData(&ck, s); err != nil || ck.n != 401000 {
		return nil, fmt.Errorf("after GOAWAY: %d bytes, %v", ck.n, err)
	}
	if err := <-result; err != nil {
		return nil, err
	}
	begin := time.Now()
	select {
	case <-c.Done():
	case <-time.After(10 * time.Second):
		return nil, errors.New("the pipe stays open")
	}
	return figures{"closedAfterMicros": time.Since(begin).Microseconds()}, c.Err()
}
