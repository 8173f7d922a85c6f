package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// frame is a header of eight bytes and its payload (§2). The payload is only valid until the next frame.
type frame struct {
	kind    FrameType
	end     bool
	id      uint32
	payload []byte
}

// receive reads the preface and frames until something ends them: io.EOF, a *ConnError, or an error of the pipe.
func (c *Conn) receive(pipe io.Reader) error {
	r := bufio.NewReaderSize(pipe, 32<<10)
	if err := readPreface(r); err != nil {
		return err
	}
	var buf []byte
	for {
		f, length, err := c.readHeader(r)
		if err != nil {
			return err
		}
		if f.kind > typeGoaway {
			_, err = io.CopyN(io.Discard, r, int64(length))
		} else {
			if cap(buf) < length {
				buf = make([]byte, length)
			}
			f.payload = buf[:length]
			_, err = io.ReadFull(r, f.payload)
		}
		if err != nil {
			return eof(err)
		}
		c.mu.Lock()
		err = c.handle(f, length)
		if err == nil && len(c.ctl) > controlLimit {
			err = &ConnError{Code: codeCalm, Reason: "answers are not read"}
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// readPreface says as soon as a byte differs that it does (§1).
func readPreface(r *bufio.Reader) error {
	for i := 0; i < len(Preface); i++ {
		b, err := r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return &ConnError{Code: codeTimeout, Reason: "no preface in time", Silent: true}
		}
		if b != Preface[i] {
			reason := "not this protocol"
			if i >= strings.IndexByte(Preface, '/')+1 {
				reason = "another version of the protocol"
			}
			return &ConnError{Code: codeProtocolError, Reason: reason, Silent: true}
		}
	}
	return nil
}

// readHeader reads a frame's header, and checks what can be checked before its payload (§2, §6).
func (c *Conn) readHeader(r io.Reader) (f frame, length int, err error) {
	var h [frameHeaderLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return f, 0, eof(err)
	}
	length = int(h[1])<<16 | int(h[2])<<8 | int(h[3])
	cur := cursor{b: h[4:]}
	f = frame{kind: FrameType(h[0] >> 3), end: h[0]&flagEnd != 0, id: cur.u32()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastHeard = time.Now()
	switch {
	case f.kind > typeLastSkipped:
		err = protocolError("unknown frame type %d", f.kind)
	case f.id > maxStreamID:
		err = protocolError("reserved bit of the stream id")
	case length > c.cfg.MaxFrame:
		err = protocolError("payload of %d bytes", length)
	case !c.gotSettings && f.kind != typeSettings:
		err = protocolError("first frame is not SETTINGS")
	case c.gotSettings && f.kind == typeSettings:
		err = protocolError("second SETTINGS")
	}
	switch f.kind {
	case typeSettings, typePing, typePong, typeGoaway:
		if f.id != 0 && err == nil {
			err = protocolError("type %d on a stream", f.kind)
		}
	case typeOpen, typeAccept, typeRefuse, typeData, typeTrailers, typeStop, typeReset:
		if f.id == 0 && err == nil {
			err = protocolError("type %d without a stream", f.kind)
		}
	}
	return f, length, err
}

func eof(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// event tells the tracer what a frame said.
func (c *Conn) event(format string, args ...any) {
	if c.tracer != nil {
		c.tracer(fmt.Sprintf(format, args...))
	}
}

// useless counts frames without use (§6, `calm`).
func (c *Conn) useless(what string) error {
	now := time.Now()
	c.calm = c.calm + now.Sub(c.calmAt).Seconds()*calmRate
	if c.calm > calmBurst {
		c.calm = calmBurst
	}
	c.calmAt = now
	if c.calm--; c.calm < 0 {
		return &ConnError{Code: codeCalm, Reason: "too many: " + what}
	}
	return nil
}

var errForm = protocolError("payload does not fit its form")

// handle does what a frame asks for. It is called with the mutex held.
func (c *Conn) handle(f frame, length int) error {
	if c.closing {
		return nil // on its way out: nothing matters any more
	}
	p := &cursor{b: f.payload}
	switch f.kind {
	case typeSettings:
		return c.onSettings(p)
	case typeOpen:
		return c.onOpen(f, p)
	case typeCredit:
		return c.onCredit(f, p)
	case typePing, typePong:
		return c.onPing(f, p)
	case typeGoaway:
		return c.onGoaway(p)
	case typeAccept, typeRefuse, typeData, typeTrailers, typeStop, typeReset:
		return c.onStream(f, p)
	}
	c.event("skip type=%d length=%d", f.kind, length)
	return c.useless("unknown frames")
}

// onSettings is §4.1, and §5.1 for what was sent before.
func (c *Conn) onSettings(p *cursor) error {
	if len(p.b)%6 != 0 || len(p.b)/6 > maxSettings {
		return protocolError("SETTINGS of %d bytes", len(p.b))
	}
	values := [5]int64{0, 0, defaultInitialWindow, defaultConnectionWindow, defaultMaxFrame}
	lowest := [5]int64{0, 1, 0, 0, defaultMaxFrame}
	highest := [5]int64{0, 2, maxCredit, maxCredit, limitMaxFrame}
	var seen [5]bool
	for len(p.b) > 0 {
		id, v := p.u16(), int64(p.u32())
		if id < settingRole || id > settingMaxFrame {
			continue
		}
		if seen[id] || v < lowest[id] || v > highest[id] {
			return protocolError("setting %d", id)
		}
		seen[id], values[id] = true, v
	}
	if !seen[settingRole] || (values[settingRole] == 1) == c.cfg.Client {
		return protocolError("role %d", values[settingRole])
	}
	c.gotSettings = true
	if c.nc != nil {
		c.nc.SetReadDeadline(time.Time{})
	}
	role := "client"
	if values[settingRole] == 2 {
		role = "server"
	}
	c.event("settings role=%s initialWindow=%d connectionWindow=%d maxFrame=%d", role,
		values[settingInitialWindow], values[settingConnectionWindow], values[settingMaxFrame])
	delta := values[settingInitialWindow] - c.peerWindow
	c.peerWindow += delta
	for _, s := range c.streams {
		s.sendCredit += delta
		s.ready()
	}
	c.sendCredit += values[settingConnectionWindow] - defaultConnectionWindow
	c.wake.Signal()
	return nil
}

func (c *Conn) onPing(f frame, p *cursor) error {
	if len(p.b) != 8 {
		return errForm
	}
	if f.kind == typePing {
		c.event("ping %x", p.b)
		c.control(typePong, 0, 0, p.b)
		return c.useless("pings")
	}
	c.event("pong %x", p.b)
	var key [8]byte
	copy(key[:], p.b)
	if ch, ok := c.pings[key]; ok {
		delete(c.pings, key)
		close(ch)
		return nil
	}
	return c.useless("pongs")
}

// onGoaway is §4.3.
func (c *Conn) onGoaway(p *cursor) error {
	last, code, reason := p.u32(), Code(p.u32()), p.reason()
	if !p.end() {
		return errForm
	}
	c.event("goaway last=%d code=%d reason=%s", last, code, reason)
	if code != codeNoError {
		return &ConnError{Code: code, Reason: reason, Remote: true}
	}
	c.goawayGot = true
	for id, s := range c.streams {
		if s.mine && id > last {
			s.finish(&RefusedError{Code: codeRefused, Reason: "the peer is going away"})
		}
	}
	c.checkDrained()
	return c.useless("goaways")
}

// lookup finds the stream of a frame; nil without an error if it is over.
func (c *Conn) lookup(id uint32) (*Stream, error) {
	if s := c.streams[id]; s != nil {
		return s, nil
	}
	if mine := id%2 == 1 == c.cfg.Client; !mine {
		if id <= c.lastID {
			return nil, nil
		}
	} else if c.assume != nil {
		if _, over := c.assume[id]; over {
			return nil, nil
		}
		c.assume[id] = struct{}{}
		return c.addStream(id, true, nil, 3), nil
	} else if id < c.nextID {
		return nil, nil
	}
	return nil, protocolError("stream %d was never opened", id)
}

// arrived counts data for the connection's window, and for the stream's unless it is nil (§5.4).
func (c *Conn) arrived(s *Stream, n int) error {
	c.recvCredit -= int64(n)
	if c.recvCredit < 0 {
		return &ConnError{Code: codeFlowControl, Reason: "beyond the connection's window"}
	}
	if s == nil {
		c.giveBack(n)
		return nil
	}
	s.recvCredit -= int64(n)
	if s.recvCredit < 0 {
		return &ConnError{Code: codeFlowControl, Reason: fmt.Sprintf("beyond the window of stream %d", s.id)}
	}
	return nil
}

// deliver hands data, and the end of the peer's half, to the stream.
func (s *Stream) deliver(data []byte, end bool) {
	if s.stopSent || s.over {
		s.c.giveBack(len(data))
	} else {
		s.in.Write(data)
	}
	s.cond.Broadcast()
	if end {
		s.recvEnd = true
		s.halfOver()
	}
}

// onOpen is §3, and the rows about OPEN in §6.
func (c *Conn) onOpen(f frame, p *cursor) error {
	urgency := p.u8()
	h, tooMany := p.headers(c.cfg.MaxHeaders)
	data := p.b
	switch {
	case p.bad:
		return errForm
	case f.id%2 == 1 == c.cfg.Client || f.id <= c.lastID:
		return protocolError("OPEN with id %d", f.id)
	}
	c.lastID = f.id
	if c.goawaySent && f.id > c.goawayLast { // §4.3
		if err := c.arrived(nil, len(data)); err != nil {
			return err
		}
		return c.useless("streams after GOAWAY")
	}
	s := c.addStream(f.id, false, h, urgency)
	if err := c.arrived(s, len(data)); err != nil {
		return err
	}
	err := h.check()
	var code Code
	var reason string
	switch {
	case urgency > 7:
		code, reason = codeProtocolError, "urgency"
	case err != nil:
		code, reason = codeProtocolError, err.Error()
	case tooMany:
		code, reason = codeLimit, "too many headers"
	case c.live[0] > c.cfg.MaxStreams || c.running >= 2*c.cfg.MaxStreams:
		code, reason = codeRefused, "too many streams"
	}
	if code != codeNoError {
		c.giveBack(len(data))
		c.streamError(s, code, reason)
		return nil
	}
	c.event("open %d urgency=%d end=%v headers=%v data=%x", f.id, urgency, f.end, h, data)
	s.deliver(data, f.end)
	if c.cfg.Handler != nil {
		c.running++
		c.handlers.Add(1)
		go func() {
			defer c.handlers.Done()
			c.cfg.Handler(s)
			s.Close()
			c.mu.Lock()
			c.running--
			c.mu.Unlock()
		}()
	}
	return nil
}

// streamError answers a stream error: REFUSE if the stream waits for our answer, else RESET (§6).
func (c *Conn) streamError(s *Stream, code Code, reason string) {
	c.event("stream-error %d code=%d", s.id, code)
	if !s.mine && !s.answered {
		c.refuse(s.id, code, reason, nil)
		s.finish(&RefusedError{code, reason, nil})
		return
	}
	s.reset(code, reason)
}

// onCredit is §5.2 and §5.3.
func (c *Conn) onCredit(f frame, p *cursor) error {
	n := int64(p.u32())
	if !p.end() {
		return errForm
	}
	if n == 0 {
		return &ConnError{Code: codeFlowControl, Reason: "credit of 0"}
	}
	credit := &c.sendCredit
	var s *Stream
	if f.id != 0 {
		var err error
		if s, err = c.lookup(f.id); err != nil {
			return err
		}
		if s == nil {
			return c.useless("frames for streams that are over")
		}
		credit = &s.sendCredit
	}
	if *credit+n > maxCredit {
		return &ConnError{Code: codeFlowControl, Reason: "credit above 2^31-1"}
	}
	*credit += n
	c.event("credit %d %d", f.id, n)
	if s != nil {
		s.ready()
	}
	c.wake.Signal()
	if n < tinyCredit {
		return c.useless("tiny credits")
	}
	return nil
}

// onStream is for the frames that only a stream that has been opened can have (§3).
func (c *Conn) onStream(f frame, p *cursor) error {
	// The form comes first: it matters even if the stream is over.
	var code Code
	var reason string
	var h Headers
	var tooMany bool
	switch f.kind {
	case typeAccept, typeTrailers:
		h, tooMany = p.headers(c.cfg.MaxHeaders)
	case typeRefuse:
		code, reason = Code(p.u32()), p.reason()
		h, tooMany = p.headers(c.cfg.MaxHeaders)
	case typeStop:
		code = Code(p.u32())
	case typeReset:
		code, reason = Code(p.u32()), p.reason()
	}
	var data []byte
	if f.kind == typeData || f.kind == typeAccept {
		data, p.b = p.b, nil
	}
	if !p.end() {
		return errForm
	}
	s, err := c.lookup(f.id)
	if err != nil {
		return err
	}
	if s == nil {
		if err := c.arrived(nil, len(data)); err != nil {
			return err
		}
		return c.useless("frames for streams that are over")
	}
	// What the peer may not send now.
	answer := f.kind == typeAccept || f.kind == typeRefuse
	content := f.kind == typeData || f.kind == typeTrailers
	switch {
	case answer && !s.mine:
		return protocolError("answer by the opener of stream %d", f.id)
	case answer && s.answered:
		return protocolError("second answer on stream %d", f.id)
	case content && s.mine && !s.answered:
		return protocolError("content before the answer on stream %d", f.id)
	case content && s.recvEnd:
		return protocolError("content after the end on stream %d", f.id)
	}
	if err := c.arrived(s, len(data)); err != nil {
		return err
	}
	if bad := h.check(); bad != nil || tooMany {
		c.giveBack(len(data))
		if tooMany {
			c.streamError(s, codeLimit, "too many headers")
		} else {
			c.streamError(s, codeProtocolError, bad.Error())
		}
		return nil
	}
	switch f.kind {
	case typeAccept:
		c.event("accept %d end=%v headers=%v data=%x", f.id, f.end, h, data)
		s.answered, s.reply = true, append(Headers{}, h...)
		s.deliver(data, f.end)
	case typeRefuse:
		c.event("refuse %d code=%d reason=%s headers=%v", f.id, code, reason, h)
		s.finish(&RefusedError{code, reason, h})
	case typeData:
		c.event("data %d end=%v %x", f.id, f.end, data)
		s.deliver(data, f.end)
		if len(data) == 0 && !f.end {
			return c.useless("empty DATA")
		}
	case typeTrailers:
		c.event("trailers %d headers=%v", f.id, h)
		s.trailers = h
		s.deliver(nil, true)
	case typeStop:
		c.event("stop %d code=%d", f.id, code)
		s.gotStop(code)
	case typeReset:
		c.event("reset %d code=%d reason=%s", f.id, code, reason)
		s.finish(&ResetError{code, reason, false})
		return c.useless("resets")
	}
	return nil
}
