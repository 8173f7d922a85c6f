// Go contenders for the same harness: gopeer <tcp|yamux|smux|spdystream|http2|ssh> server | client <port>
// Control: JSON lines on stdin/stdout, as in lib/peer.mjs. Within streams: as in lib/*-operations.mjs.
package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/docker/spdystream"
	"github.com/hashicorp/yamux"
	"github.com/xtaci/smux"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/http2"
)

const period, chunk, hdrLen = 512 * 1024, 64 * 1024, 16

var pattern = func() []byte {
	p := make([]byte, period)
	x := uint32(0x9e3779b9)
	for i := 0; i < period; i += 4 {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		binary.LittleEndian.PutUint32(p[i:], x)
	}
	return p
}()

func check(b []byte, off int) (bad uint32) {
	for i := (1024 - (off & 1023)) & 1023; i < len(b); i += 1024 {
		if b[i] != pattern[(off+i)&(period-1)] {
			bad++
		}
	}
	if n := len(b); n > 0 && b[n-1] != pattern[(off+n-1)&(period-1)] {
		bad++
	}
	return
}

type stream interface {
	io.ReadWriter
	Close() error
}
type session interface{ open() (stream, error) }

// As in lib/window.mjs.
var window = func() int {
	if n, e := strconv.Atoi(os.Getenv("BENCH_WINDOW")); e == nil {
		return n
	}
	return 4 << 20
}()

var halfClose = true
var streamsN, badN, bytesN int64

// ---- contenders
type tcpSes struct{ port string }
type tcpStream struct{ *net.TCPConn }

func (t tcpStream) Close() error { return t.TCPConn.CloseWrite() }
func (s tcpSes) open() (stream, error) {
	c, e := net.Dial("tcp", "127.0.0.1:"+s.port)
	if e != nil {
		return nil, e
	}
	return tcpStream{c.(*net.TCPConn)}, nil
}

type ySes struct{ *yamux.Session }

func (s ySes) open() (stream, error) { return s.Session.OpenStream() }
func yconf() *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog = 1 << 16
	c.EnableKeepAlive = false
	c.MaxStreamWindowSize = uint32(window)
	c.LogOutput = io.Discard
	return c
}

type sSes struct{ *smux.Session }

func (s sSes) open() (stream, error) { return s.Session.OpenStream() }
func sconf() *smux.Config {
	c := smux.DefaultConfig()
	c.Version = 2
	c.KeepAliveDisabled = true
	c.MaxReceiveBuffer = 64 << 20
	c.MaxStreamBuffer = window
	return c
}

type pSes struct{ *spdystream.Connection }

func (s pSes) open() (stream, error) {
	st, e := s.Connection.CreateStream(http.Header{}, nil, false)
	return st, e
}

// A POST whose bodies are the two directions; its answer is waited for by the first Read.
type hSes struct{ *http2.ClientConn }
type hStream struct {
	*io.PipeWriter
	answer chan *http.Response
	body   io.Reader
}

func (s hSes) open() (stream, error) {
	r, w := io.Pipe()
	q, e := http.NewRequest("POST", "http://127.0.0.1/", r)
	if e != nil {
		return nil, e
	}
	st := &hStream{PipeWriter: w, answer: make(chan *http.Response, 1)}
	go func() {
		a, e := s.ClientConn.RoundTrip(q)
		if e != nil {
			r.CloseWithError(e)
			close(st.answer)
			return
		}
		st.answer <- a
	}()
	return st, nil
}
func (s *hStream) Read(b []byte) (int, error) {
	if s.body == nil {
		a, ok := <-s.answer
		if !ok {
			return 0, io.ErrUnexpectedEOF
		}
		s.body = a.Body
	}
	return s.body.Read(b)
}

// The end of the answer is the return of the handler.
type hAnswer struct {
	io.Reader
	http.ResponseWriter
}

func (s hAnswer) Close() error { return nil }
func (s hAnswer) Write(b []byte) (int, error) {
	n, e := s.ResponseWriter.Write(b)
	s.ResponseWriter.(http.Flusher).Flush()
	return n, e
}
func serveHttp2(c net.Conn) {
	srv := &http2.Server{
		MaxConcurrentStreams:         1 << 20,
		MaxUploadBufferPerStream:     int32(window),
		MaxUploadBufferPerConnection: 64 << 20,
		MaxReadFrameSize:             64 << 10,
	}
	srv.ServeConn(c, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		serve(hAnswer{q.Body, w})
	})})
}

// A channel per stream. Closing is half of it for the client, and all of it for the server, which is last.
type cSes struct{ ssh.Conn }
type cStream struct{ ssh.Channel }

func (s cStream) Close() error { return s.Channel.CloseWrite() }
func (s cSes) open() (stream, error) {
	ch, asked, e := s.Conn.OpenChannel("bench", nil)
	if e != nil {
		return nil, e
	}
	go ssh.DiscardRequests(asked)
	return cStream{ch}, nil
}

var ciphers = ssh.Config{Ciphers: []string{"aes128-gcm@openssh.com"}}

func sshClient(c net.Conn) session {
	conf := &ssh.ClientConfig{Config: ciphers, User: "bench", HostKeyCallback: ssh.InsecureIgnoreHostKey()}
	conn, chans, asked, e := ssh.NewClientConn(c, "bench", conf)
	must(e)
	go ssh.DiscardRequests(asked)
	go func() {
		for ch := range chans {
			ch.Reject(ssh.Prohibited, "")
		}
	}()
	return cSes{conn}
}
func serveSsh(c net.Conn) {
	_, key, e := ed25519.GenerateKey(rand.Reader)
	must(e)
	signer, e := ssh.NewSignerFromKey(key)
	must(e)
	conf := &ssh.ServerConfig{Config: ciphers, NoClientAuth: true}
	conf.AddHostKey(signer)
	_, chans, asked, e := ssh.NewServerConn(c, conf)
	if e != nil {
		return
	}
	go ssh.DiscardRequests(asked)
	for offer := range chans {
		ch, asked, e := offer.Accept()
		if e != nil {
			return
		}
		go ssh.DiscardRequests(asked)
		go serve(ch)
	}
}

func serve(s stream) {
	atomic.AddInt64(&streamsN, 1)
	h := make([]byte, hdrLen)
	if _, e := io.ReadFull(s, h); e != nil {
		s.Close()
		return
	}
	l := int(binary.BigEndian.Uint32(h[4:]))
	switch h[0] {
	case 1:
		buf := make([]byte, chunk)
		got, bad := 0, uint32(0)
		for got < l {
			n, e := s.Read(buf)
			bad += check(buf[:n], got)
			got += n
			atomic.AddInt64(&bytesN, int64(n))
			if e != nil {
				s.Close()
				return
			}
		}
		r := make([]byte, 8)
		binary.BigEndian.PutUint32(r, uint32(got))
		binary.BigEndian.PutUint32(r[4:], bad)
		atomic.AddInt64(&badN, int64(bad))
		s.Write(r)
	case 2:
		b := make([]byte, l)
		copy(b, h)
		if _, e := io.ReadFull(s, b[hdrLen:]); e == nil {
			s.Write(b)
		}
	case 3:
		b := make([]byte, 4096)
		copy(b, h)
		n, _ := s.Read(b[hdrLen:])
		s.Write(b[:hdrLen+n])
		for {
			n, e := s.Read(b)
			if e != nil {
				break
			}
			s.Write(b[:n])
		}
	case 4:
		s.Read(h)
	case 5:
		time.Sleep(time.Hour)
	}
	s.Close()
	if !halfClose { // wait for peer to have read
		return
	}
	if t, ok := s.(tcpStream); ok {
		io.Copy(io.Discard, s)
		t.TCPConn.Close()
	}
}

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
func rss() int64 {
	b, _ := os.ReadFile("/proc/self/statm")
	f := strings.Fields(string(b))
	n, _ := strconv.ParseInt(f[1], 10, 64)
	return n * 4096
}

func hdr(op byte, l uint32, seq uint32) []byte {
	h := make([]byte, hdrLen)
	h[0] = op
	binary.BigEndian.PutUint32(h[4:], l)
	binary.BigEndian.PutUint32(h[8:], seq)
	return h
}

func sink(ses session, total, chunk int) error {
	s, e := ses.open()
	if e != nil {
		return e
	}
	s.Write(hdr(1, uint32(total), 0))
	for sent := 0; sent < total; {
		o := sent & (period - 1)
		n := chunk
		if total-sent < n {
			n = total - sent
		}
		if _, e := s.Write(pattern[o : o+n]); e != nil {
			return e
		}
		sent += n
	}
	if halfClose {
		s.Close()
	}
	r := make([]byte, 8)
	if _, e := io.ReadFull(s, r); e != nil {
		return fmt.Errorf("sink reply: %w", e)
	}
	if int(binary.BigEndian.Uint32(r)) != total || binary.BigEndian.Uint32(r[4:]) != 0 {
		return errors.New("sink: bad bytes")
	}
	fin(s)
	return nil
}
func fin(s stream) {
	if !halfClose {
		s.Close()
	}
	if t, ok := s.(tcpStream); ok {
		t.TCPConn.Close()
	}
}

var seq uint32

func churn1(ses session) error {
	s, e := ses.open()
	if e != nil {
		return e
	}
	id := atomic.AddUint32(&seq, 1)
	m := append(hdr(2, 1024, id), pattern[:1024-hdrLen]...)
	s.Write(m)
	if halfClose {
		s.Close()
	}
	b := make([]byte, 1024)
	if _, e := io.ReadFull(s, b); e != nil {
		return fmt.Errorf("churn: %w", e)
	}
	if binary.BigEndian.Uint32(b[8:]) != id || b[1023] != m[1023] {
		return errors.New("churn: wrong bytes")
	}
	var one [1]byte
	if n, e := s.Read(one[:]); n != 0 || e == nil {
		return errors.New("churn: no EOF")
	}
	fin(s)
	return nil
}

type res map[string]interface{}

func ping(ses session, d time.Duration, max int) (res, error) {
	s, e := ses.open()
	if e != nil {
		return nil, e
	}
	lat := make([]float64, 0, 1<<16)
	m := append(hdr(3, 64, 0), pattern[:48]...)
	b := make([]byte, 64)
	st := time.Now()
	for n := uint32(0); time.Since(st) < d && int(n) < max; n++ {
		binary.BigEndian.PutUint32(m[8:], n)
		t := time.Now()
		s.Write(m)
		if _, e := io.ReadFull(s, b); e != nil {
			return nil, e
		}
		if binary.BigEndian.Uint32(b[8:]) != n {
			return nil, errors.New("ping: seq")
		}
		lat = append(lat, float64(time.Since(t).Nanoseconds())/1e6)
	}
	sec := time.Since(st).Seconds()
	s.Close()
	fin2(s)
	sort.Float64s(lat)
	return res{"sec": sec, "count": len(lat), "p50": lat[len(lat)/2], "p99": lat[len(lat)*99/100], "max": lat[len(lat)-1]}, nil
}
func fin2(s stream) {
	if t, ok := s.(tcpStream); ok {
		t.TCPConn.Close()
	}
}

var keep []stream

func run(ses session, c map[string]interface{}) (res, error) {
	f := func(k string) int { v, _ := c[k].(float64); return int(v) }
	ms := time.Duration(f("ms")) * time.Millisecond
	t := time.Now()
	switch c["op"] {
	case "bulk":
		e := sink(ses, f("total"), chunk)
		return res{"sec": time.Since(t).Seconds(), "bytes": f("total")}, e
	case "small":
		e := sink(ses, f("count")*128, 128)
		return res{"sec": time.Since(t).Seconds(), "count": f("count")}, e
	case "fan":
		var wg sync.WaitGroup
		var err error
		for i := 0; i < f("streams"); i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if e := sink(ses, f("each"), chunk); e != nil {
					err = e
				}
			}()
		}
		wg.Wait()
		return res{"sec": time.Since(t).Seconds(), "bytes": f("streams") * f("each")}, err
	case "churn":
		var wg sync.WaitGroup
		var n int64
		var err error
		max := int64(f("max"))
		if max == 0 {
			max = 1 << 60
		}
		for i := 0; i < f("conc"); i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for time.Since(t) < ms && atomic.LoadInt64(&n) < max {
					if e := churn1(ses); e != nil {
						err = e
						return
					}
					atomic.AddInt64(&n, 1)
				}
			}()
		}
		wg.Wait()
		return res{"sec": time.Since(t).Seconds(), "count": n}, err
	case "ping":
		return ping(ses, ms, 1<<60)
	case "fair":
		s, e := ses.open()
		if e != nil {
			return nil, e
		}
		var moved, stop int64
		done := make(chan bool)
		go func() {
			s.Write(hdr(1, 0xffffffff, 0))
			for i := 0; atomic.LoadInt64(&stop) == 0; i++ {
				o := (i & 7) * chunk
				if _, e := s.Write(pattern[o : o+chunk]); e != nil {
					break
				}
				atomic.AddInt64(&moved, chunk)
			}
			s.Close()
			fin2(s)
			close(done)
		}()
		time.Sleep(50 * time.Millisecond)
		m0 := atomic.LoadInt64(&moved)
		r, e := ping(ses, ms, 1<<60)
		if e != nil {
			return nil, e
		}
		r["bytes"] = atomic.LoadInt64(&moved) - m0
		atomic.StoreInt64(&stop, 1)
		<-done
		return r, nil
	case "idle":
		for i := 0; i < f("n"); i++ {
			s, e := ses.open()
			if e != nil {
				return nil, e
			}
			s.Write(hdr(4, 0, 0))
			keep = append(keep, s)
		}
		return res{"sec": time.Since(t).Seconds(), "count": f("n")}, nil
	case "slow":
		s, e := ses.open()
		if e != nil {
			return nil, e
		}
		var sent int64
		go func() {
			s.Write(hdr(5, 0, 0))
			time.Sleep(100 * time.Millisecond)
			for i := 0; sent < int64(f("cap")); i++ {
				o := (i & 7) * chunk
				if _, e := s.Write(pattern[o : o+chunk]); e != nil {
					return
				}
				atomic.AddInt64(&sent, chunk)
			}
		}()
		time.Sleep(ms - 1200*time.Millisecond)
		ok := make(chan bool, 1)
		go func() { _, e := ping(ses, time.Second, 1); ok <- e == nil }()
		alive := false
		select {
		case alive = <-ok:
		case <-time.After(time.Second):
		}
		return res{"sec": time.Since(t).Seconds(), "bytes": atomic.LoadInt64(&sent), "othersAlive": alive}, nil
	}
	return nil, errors.New("unknown op")
}

func must(e error) {
	if e != nil {
		panic(e)
	}
}

func main() {
	kind, role := os.Args[1], os.Args[2]
	out := json.NewEncoder(os.Stdout)
	halfClose = kind != "smux" && kind != "yamux" // Debian's hashicorp/yamux: Read returns EOF after local Close
	var ses session
	if role == "server" {
		l, e := net.Listen("tcp", "127.0.0.1:0")
		must(e)
		go func() {
			for {
				c, e := l.Accept()
				must(e)
				switch kind {
				case "tcp":
					go serve(tcpStream{c.(*net.TCPConn)})
				case "yamux":
					s, e := yamux.Server(c, yconf())
					must(e)
					go func() {
						for {
							st, e := s.AcceptStream()
							if e != nil {
								return
							}
							go serve(st)
						}
					}()
				case "smux":
					s, e := smux.Server(c, sconf())
					must(e)
					go func() {
						for {
							st, e := s.AcceptStream()
							if e != nil {
								return
							}
							go serve(st)
						}
					}()
				case "http2":
					go serveHttp2(c)
				case "ssh":
					go serveSsh(c)
				case "spdystream":
					s, e := spdystream.NewConnection(c, true)
					must(e)
					go s.Serve(func(st *spdystream.Stream) { st.SendReply(http.Header{}, false); go serve(st) })
				}
			}
		}()
		out.Encode(res{"ready": true, "port": l.Addr().(*net.TCPAddr).Port})
	} else {
		port := os.Args[3]
		if kind == "tcp" {
			ses = tcpSes{port}
		} else {
			c, e := net.Dial("tcp", "127.0.0.1:"+port)
			must(e)
			switch kind {
			case "yamux":
				s, e := yamux.Client(c, yconf())
				must(e)
				ses = ySes{s}
			case "smux":
				s, e := smux.Client(c, sconf())
				must(e)
				ses = sSes{s}
			case "http2":
				t := &http2.Transport{AllowHTTP: true, StrictMaxConcurrentStreams: true}
				s, e := t.NewClientConn(c)
				must(e)
				ses = hSes{s}
			case "ssh":
				ses = sshClient(c)
			case "spdystream":
				s, e := spdystream.NewConnection(c, false)
				must(e)
				go s.Serve(spdystream.NoOpStreamHandler)
				ses = pSes{s}
			}
		}
		out.Encode(res{"ready": true})
	}
	var maxRss int64
	sc := bufio.NewScanner(os.Stdin)
	for sc.Scan() {
		var c map[string]interface{}
		must(json.Unmarshal(sc.Bytes(), &c))
		switch c["cmd"] {
		case "cpu":
			out.Encode(res{"cpu": cpu()})
			continue
		case "stats":
			out.Encode(res{"streams": atomic.LoadInt64(&streamsN), "bad": atomic.LoadInt64(&badN), "bytes": atomic.LoadInt64(&bytesN)})
			continue
		case "rss":
			runtime.GC()
			debug.FreeOSMemory()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			out.Encode(res{"rss": rss(), "heap": m.HeapAlloc + m.StackInuse})
			continue
		case "rssmax":
			go func() {
				for {
					if r := rss(); r > atomic.LoadInt64(&maxRss) {
						atomic.StoreInt64(&maxRss, r)
					}
					time.Sleep(50 * time.Millisecond)
				}
			}()
			out.Encode(res{"rss": rss()})
			continue
		case "rssget":
			out.Encode(res{"max": atomic.LoadInt64(&maxRss)})
			continue
		case "exit":
			return
		}
		c0 := cpu()
		r, e := run(ses, c)
		if e != nil {
			out.Encode(res{"error": e.Error()})
			continue
		}
		r["cpu"] = cpu() - c0
		if b := atomic.LoadInt64(&badN); b > 0 {
			r["bad"] = b
		}
		out.Encode(r)
	}
}
