package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Config is what an end decides for itself.
type Config struct {
	Client           bool
	InitialWindow    int64         // of each stream, towards us
	ConnectionWindow int64         // of the connection, towards us
	MaxFrame         int           // longest payload that we take
	MaxStreams       int           // of the peer's at a time; more are refused
	MaxHeaders       int           // in a block; more are a stream error
	PrefaceTimeout   time.Duration // for the preface and the SETTINGS
	Silence          time.Duration // after which the connection is given up; half of it gives a PING
	Handler          func(*Stream) // runs in a goroutine of its own for each stream of the peer's
}

func defaultConfig(client bool, handler func(*Stream)) Config {
	return Config{Client: client, Handler: handler, InitialWindow: 256 << 10, ConnectionWindow: 1 << 20,
		MaxFrame: defaultMaxFrame, MaxStreams: 1024, MaxHeaders: 1000, PrefaceTimeout: 10 * time.Second,
		Silence: 60 * time.Second}
}

const (
	dataChunk    = 16 << 10 // of a DATA frame (§7)
	batch        = 32 << 10 // of data before the frames of control get their turn again
	controlSlow  = 64 << 10 // of waiting control frames: the application waits before it opens or accepts more
	controlLimit = 1 << 20  // of waiting control frames: the peer makes us answer and does not read
	calmBurst    = 10000    // useless frames at once (§6)
	calmRate     = 1000     // and so many more each second
	tinyCredit   = 64       // a CREDIT below is one of them
	lingerTime   = time.Second
)

// Conn is one end of a connection.
type Conn struct {
	cfg Config
	nc  net.Conn

	mu      sync.Mutex
	wake    *sync.Cond // the writer: something to send
	drained *sync.Cond // control frames have been sent
	ctl     []byte     // frames that go before data, OPEN and ACCEPT among them
	queues  [8][]*Stream
	streams map[uint32]*Stream // those that are not over
	live    [2]int             // how many of them the peer opened, and how many we did
	running int                // handlers
	nextID  uint32             // of our next stream
	lastID  uint32             // of the peer's last stream

	gotSettings bool
	peerWindow  int64 // the peer's INITIAL_WINDOW, or the default until it is known
	sendCredit  int64 // of the connection
	recvCredit  int64
	taken       int64

	goawaySent bool
	goawayLast uint32 // our GOAWAY's last id
	goawayGot  bool
	closing    bool  // nothing is sent any more but what is in ctl
	err        error // why
	pings      map[[8]byte]chan struct{}
	lastHeard  time.Time
	calm       float64
	calmAt     time.Time

	handlers sync.WaitGroup
	done     chan struct{}

	tracer func(string)        // for the vectors: one text for each frame that says something
	assume map[uint32]struct{} // for the vectors: not nil takes each stream that we could have opened as opened
}

func newConn(nc net.Conn, cfg Config) *Conn {
	now := time.Now()
	c := &Conn{cfg: cfg, nc: nc, streams: map[uint32]*Stream{}, nextID: 2, peerWindow: defaultInitialWindow,
		sendCredit: defaultConnectionWindow, recvCredit: max64(cfg.ConnectionWindow, defaultConnectionWindow),
		pings: map[[8]byte]chan struct{}{}, lastHeard: now, calm: calmBurst, calmAt: now, done: make(chan struct{})}
	c.wake, c.drained = sync.NewCond(&c.mu), sync.NewCond(&c.mu)
	role := uint32(2)
	if cfg.Client {
		role, c.nextID = 1, 1
	}
	var p []byte
	for i, v := range []uint32{role, uint32(cfg.InitialWindow), uint32(cfg.ConnectionWindow), uint32(cfg.MaxFrame)} {
		p = binary.BigEndian.AppendUint16(p, uint16(i+1))
		p = binary.BigEndian.AppendUint32(p, v)
	}
	c.ctl = appendFrame([]byte(Preface), typeSettings, 0, 0, p)
	return c
}

// start runs a connection over a pipe. It ends by itself, with its pipe closed; Done tells.
func start(nc net.Conn, cfg Config) *Conn {
	c := newConn(nc, cfg)
	var loops sync.WaitGroup
	loops.Add(2)
	go func() { defer loops.Done(); c.readLoop() }()
	go func() { defer loops.Done(); c.writeLoop() }()
	go c.watch()
	go func() {
		loops.Wait()
		nc.Close()
		close(c.done)
	}()
	return c
}

// Done is closed when the pipe is.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err tells why the connection ended: nil after a graceful end.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Open opens a stream (§3). Data that the credits allow at once, and that fit one chunk, travel in the OPEN.
func (c *Conn) Open(h Headers, urgency byte, data []byte, end bool) (*Stream, error) {
	if err := checkOwn(h); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.waitControl()
	switch {
	case c.closing && c.err != nil:
		defer c.mu.Unlock()
		return nil, c.err
	case c.closing || c.goawaySent || c.goawayGot || c.nextID > maxStreamID:
		defer c.mu.Unlock()
		return nil, errGoingAway
	}
	s := c.addStream(c.nextID, true, h, urgency)
	c.nextID += 2
	payload := appendHeaders([]byte{urgency}, h)
	n := int64(len(data))
	inline := n <= dataChunk && (n == 0 || n <= s.sendCredit && n <= c.sendCredit)
	flags := byte(0)
	if inline {
		payload = append(payload, data...)
		s.sendCredit -= n
		c.sendCredit -= n
		s.wantEnd, s.sentEnd = end, end
		flags = byte(b2i(end)) * flagEnd
	}
	c.control(typeOpen, flags, s.id, payload)
	c.mu.Unlock()
	if !inline {
		_, err := s.write(data, end, nil)
		return s, err
	}
	return s, nil
}

// Ping measures the way there and back (§4.2).
func (c *Conn) Ping(limit time.Duration) (time.Duration, error) {
	var key [8]byte
	if _, err := rand.Read(key[:]); err != nil {
		return 0, err
	}
	ch := make(chan struct{})
	c.mu.Lock()
	c.pings[key] = ch
	c.control(typePing, 0, 0, key[:])
	c.mu.Unlock()
	begin := time.Now()
	t := time.NewTimer(limit)
	defer t.Stop()
	var err error
	select {
	case <-ch:
		return time.Since(begin), nil
	case <-c.done:
		err = errors.New("ping: connection ended")
	case <-t.C:
		err = errors.New("ping: no answer in time")
	}
	c.mu.Lock()
	delete(c.pings, key)
	c.mu.Unlock()
	return 0, err
}

// Goaway begins a graceful end (§4.3): when no stream is left, the pipe is closed.
func (c *Conn) Goaway() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.goawaySent || c.closing {
		return
	}
	c.goaway(codeNoError, "")
	c.checkDrained()
}

// Close ends the connection at once.
func (c *Conn) Close() {
	c.fail(&ConnError{Code: codeCancel, Reason: "closed", Silent: true})
	<-c.done
	c.handlers.Wait()
}

// watch sends a PING after a while of silence, and gives up after twice that (§6, `timeout`).
func (c *Conn) watch() {
	t := time.NewTicker(c.cfg.Silence / 4)
	defer t.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-t.C:
		}
		c.mu.Lock()
		quiet := time.Since(c.lastHeard)
		if quiet > c.cfg.Silence/2 && !c.closing {
			c.control(typePing, 0, 0, make([]byte, 8))
		}
		c.mu.Unlock()
		if quiet > c.cfg.Silence {
			c.fail(&ConnError{Code: codeTimeout, Reason: "silence"})
		}
	}
}

// fail ends the connection with an error: all streams fail, and a GOAWAY goes out unless it is silent.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	c.closing, c.err = true, err
	for _, s := range c.streams {
		s.finish(err)
	}
	var ce *ConnError
	if errors.As(err, &ce) && !ce.Silent && !ce.Remote {
		c.goaway(ce.Code, ce.Reason)
	}
	c.stopWriter()
}

// checkDrained closes the pipe once a GOAWAY has been sent or received and no stream is left (§4.3).
func (c *Conn) checkDrained() {
	if c.closing || !c.goawaySent && !c.goawayGot || len(c.streams) > 0 {
		return
	}
	c.closing = true
	c.stopWriter()
}

func (c *Conn) stopWriter() {
	if c.nc != nil {
		c.nc.SetWriteDeadline(time.Now().Add(lingerTime))
	}
	c.wake.Signal()
	c.drained.Broadcast()
}

// The sending side. All but the loop is called with the mutex held.

func (c *Conn) control(t FrameType, flags byte, id uint32, payload []byte) {
	c.ctl = appendFrame(c.ctl, t, flags, id, payload)
	c.wake.Signal()
}

// waitControl holds the application back while many control frames wait.
func (c *Conn) waitControl() {
	for len(c.ctl) > controlSlow && !c.closing {
		c.drained.Wait()
	}
}

func (c *Conn) credit(id uint32, n int64) { c.control(typeCredit, 0, id, u32(uint32(n))) }

func (c *Conn) refuse(id uint32, code Code, reason string, h Headers) {
	c.control(typeRefuse, 0, id, appendHeaders(appendString(u32(uint32(code)), reason), h))
}

func (c *Conn) goaway(code Code, reason string) {
	if !c.goawaySent {
		c.goawaySent, c.goawayLast = true, c.lastID
	}
	c.control(typeGoaway, 0, 0, appendString(append(u32(c.goawayLast), u32(uint32(code))...), reason))
}

// giveBack counts data that was taken or discarded; the connection's CREDIT follows at half a window (§5.2, §5.5).
func (c *Conn) giveBack(n int) {
	c.taken += int64(n)
	if c.taken > 0 && c.taken*2 >= c.cfg.ConnectionWindow && !c.closing {
		c.credit(0, c.taken)
		c.recvCredit += c.taken
		c.taken = 0
	}
}

func (c *Conn) writeLoop() {
	var buf []byte
	for {
		c.mu.Lock()
		for {
			buf, c.ctl = c.ctl, buf[:0]
			if !c.closing {
				for len(buf) < batch {
					n := len(buf)
					if buf = c.appendData(buf); len(buf) == n {
						break
					}
				}
			}
			if len(buf) > 0 || c.closing {
				break
			}
			c.wake.Wait()
		}
		last := c.closing
		c.drained.Broadcast()
		c.mu.Unlock()
		if len(buf) > 0 {
			if _, err := c.nc.Write(buf); err != nil {
				c.fail(err)
				c.nc.SetReadDeadline(time.Now())
				return
			}
			if cap(buf) > 4*controlSlow {
				buf = nil
			}
			continue
		}
		if last {
			break
		}
	}
	// A pipe that is closed with unread bytes in it may lose what we sent last: end our direction, and read on.
	if w, ok := c.nc.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
		c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	} else {
		c.nc.SetReadDeadline(time.Now())
	}
}

// appendData appends the next frame of the most urgent stream that may send, round robin among equals (§5, §7).
func (c *Conn) appendData(b []byte) []byte {
	for u := range c.queues {
		q := c.queues[u]
		for i := 0; i < len(q); i++ {
			s := q[i]
			if s.hasOutput() && len(s.out) > 0 && c.sendCredit <= 0 {
				continue // waits for the connection's credit
			}
			s.queued = false
			q = append(q[:i], q[i+1:]...)
			c.queues[u] = q
			if s.hasOutput() {
				b = s.appendFrames(b)
				s.ready()
				return b
			}
			i--
		}
	}
	return b
}

// appendFrames appends one DATA frame, or the end of our half.
func (s *Stream) appendFrames(b []byte) []byte {
	n := min64(min64(int64(len(s.out)), dataChunk), min64(s.sendCredit, s.c.sendCredit))
	if len(s.out) == 0 {
		n = 0
	}
	last := s.wantEnd && int(n) == len(s.out)
	if n > 0 || s.outTrailers == nil {
		flags := byte(0)
		if last && s.outTrailers == nil {
			flags = flagEnd
		}
		b = appendFrame(b, typeData, flags, s.id, s.out[:n])
		s.out = s.out[n:]
		s.sendCredit -= n
		s.c.sendCredit -= n
	}
	if last && s.outTrailers != nil {
		p := appendHeaders(nil, s.outTrailers)
		b = appendFrame(b, typeTrailers, 0, s.id, p)
	}
	if last {
		s.sentEnd = true
		s.halfOver()
	}
	s.cond.Broadcast()
	return b
}

func (c *Conn) addStream(id uint32, mine bool, h Headers, urgency byte) *Stream {
	s := &Stream{c: c, id: id, mine: mine, request: h, urgency: urgency, cond: sync.NewCond(&c.mu),
		sendCredit: c.peerWindow, recvCredit: max64(c.cfg.InitialWindow, defaultInitialWindow)}
	c.streams[id] = s
	c.live[b2i(mine)]++
	return s
}

// checkOwn keeps the application from sending what the peer would have to reject.
func checkOwn(h Headers) error {
	if err := h.check(); err != nil {
		return err
	}
	if h.size() > 32<<10 {
		return fmt.Errorf("headers of %d bytes", h.size())
	}
	return nil
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func min64(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func max64(a, b int64) int64 { return -min64(-a, -b) }

// readLoop reads until the pipe ends or the peer breaks the protocol; then it reads the rest away for a moment, so
// that the GOAWAY arrives.
func (c *Conn) readLoop() {
	c.nc.SetReadDeadline(time.Now().Add(c.cfg.PrefaceTimeout))
	err := c.receive(c.nc)
	if err == io.EOF {
		c.mu.Lock()
		if len(c.streams) == 0 && c.gotSettings {
			c.goawayGot = true // an end without open streams is an end all the same
			c.checkDrained()
		}
		c.mu.Unlock()
		c.fail(io.ErrUnexpectedEOF)
		return
	}
	c.fail(err)
	io.Copy(io.Discard, c.nc)
}
