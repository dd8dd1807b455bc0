// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// What can happen to the TCP connections that go through a Service, so that
// tests can see how a client of the API server (the Service default/kubernetes)
// or of a backend gets on with it.

// pair is a client's connection and the one that it is forwarded to.
type pair struct{ client, server *net.TCPConn }

// reset ends both with a reset.
func reset(c *net.TCPConn) { c.SetLinger(0) }

// vanish ends both without a packet: each side finds out when it sends something
// (it gets a reset then), as after the crash of a machine in between.  A socket
// under repair is closed silently.
func vanish(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1) })
}

// drop closes all connections after prepare, and returns how many there were.
func (f *forwarder) drop(prepare func(*net.TCPConn)) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for both := range f.pairs {
		prepare(both.client)
		prepare(both.server)
	}
	for both := range f.pairs {
		both.client.Close()
		both.server.Close()
	}
	return len(f.pairs)
}

// add registers a new connection; it returns false if that is to be refused.
func (f *forwarder) add(both *pair) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.refusing {
		f.pairs[both] = true
	}
	return !f.refusing
}

func (f *forwarder) forget(both *pair) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pairs, both)
}

func (f *forwarder) setFault(fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusing = fault == "refuse"
	f.gate.set(fault == "freeze")
}

// gate holds up everybody who wants to pass while it is closed.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // nil if the gate is open
}

func (g *gate) set(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case closed && g.closed == nil:
		g.closed = make(chan struct{})
	case !closed && g.closed != nil:
		close(g.closed)
		g.closed = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed != nil {
		<-closed
	}
}
