// SPDX-License-Identifier: Apache-2.0

// Command ws_bridge carries WebSocket connections between HTTP/1 and HTTP/2 (RFC 8441), so that clients and servers
// which know one of them try a gateway that is spoken to by the other. It copies bytes and knows nothing of frames.
//
//	ws_bridge -to http://127.0.0.1:8080   # takes Upgrade and sends extended CONNECT, with https:// over TLS
//	ws_bridge -from-h2 -to http://...     # takes extended CONNECT and sends Upgrade
//
// It needs GODEBUG=http2xconnect=1, and prints the address that it listens on.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http2"
)

// passed are the fields of the handshake that mean the same in both versions.
var passed = []string{"Sec-Websocket-Version", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol", "Origin"}

func main() {
	fromH2 := flag.Bool("from-h2", false, "take extended CONNECT and send Upgrade, instead of the other way round")
	to := flag.String("to", "", "URL of the server, its path is not used")
	host := flag.String("host", "", "authority to ask for, in place of the server's address")
	flag.Parse()
	server, err := url.Parse(*to)
	if err != nil || server.Host == "" {
		log.Fatalf("-to %q: a URL is needed", *to)
	}
	if *host == "" {
		*host = server.Host
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!*fromH2)
	protocols.SetUnencryptedHTTP2(*fromH2)
	handler := http.Handler(toHTTP2(server, *host))
	if *fromH2 {
		handler = toHTTP1(server.Host)
	}
	log.Fatal((&http.Server{Handler: handler, Protocols: protocols}).Serve(listener))
}

func copyFields(to, from http.Header) {
	for _, name := range passed {
		if values := from[name]; len(values) > 0 {
			to[name] = values
		}
	}
}

// toHTTP2 answers an Upgrade when the server has agreed to the CONNECT that stands for it.
func toHTTP2(server *url.URL, host string) http.HandlerFunc {
	// net/http's own transport takes no field that begins with a colon.
	transport := &http2.Transport{AllowHTTP: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: host}}
	if server.Scheme == "http" {
		transport.DialTLSContext = func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		body, sending := io.Pipe()
		target := *r.URL
		target.Scheme, target.Host = server.Scheme, server.Host
		context, cancel := context.WithCancel(context.Background())
		defer cancel()
		connect, err := http.NewRequestWithContext(context, http.MethodConnect, target.String(), body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		connect.Host = host
		copyFields(connect.Header, r.Header)
		connect.Header[":protocol"] = []string{"websocket"}
		connect.Header["User-Agent"] = r.Header["User-Agent"]
		answer, err := transport.RoundTrip(connect)
		if err != nil {
			log.Print("CONNECT: ", err)
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			w.WriteHeader(answer.StatusCode)
			io.Copy(w, answer.Body)
			return
		}
		client, early, err := w.(http.Hijacker).Hijack()
		if err != nil {
			log.Print("hijack: ", err)
			return
		}
		defer client.Close()
		agreed := http.Header{}
		copyFields(agreed, answer.Header)
		if server := answer.Header.Get("Server"); server != "" {
			agreed.Set("Server", server)
		}
		fmt.Fprintf(client, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: %s\r\n", accept(r.Header.Get("Sec-WebSocket-Key")))
		agreed.Write(client)
		io.WriteString(client, "\r\n")
		go func() {
			_, err := io.Copy(sending, early)
			sending.CloseWithError(err)
			if err != nil {
				cancel()
			}
		}()
		io.Copy(client, answer.Body)
	}
}

// toHTTP1 answers a CONNECT when the server has agreed to the Upgrade that stands for it.
func toHTTP1(server string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Header.Get(":protocol") != "websocket" {
			http.Error(w, "expected an extended CONNECT", http.StatusBadRequest)
			return
		}
		connection, err := net.Dial("tcp", server)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer connection.Close()
		key := make([]byte, 16)
		rand.Read(key)
		upgrade := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"},
			"Sec-Websocket-Key": {base64.StdEncoding.EncodeToString(key)}}
		copyFields(upgrade, r.Header)
		fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\n", r.URL.RequestURI(), r.Host)
		upgrade.Write(connection)
		io.WriteString(connection, "\r\n")
		reader := bufio.NewReader(connection)
		answer, err := http.ReadResponse(reader, &http.Request{Method: http.MethodGet})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		copyFields(w.Header(), answer.Header)
		if answer.StatusCode != http.StatusSwitchingProtocols {
			w.WriteHeader(answer.StatusCode)
			io.Copy(w, answer.Body)
			return
		}
		w.WriteHeader(http.StatusOK)
		flush := http.NewResponseController(w).Flush
		flush()
		go func() {
			io.Copy(connection, r.Body)
			connection.(*net.TCPConn).CloseWrite()
		}()
		buffer := make([]byte, 64<<10)
		for {
			n, err := reader.Read(buffer)
			if n > 0 {
				if _, failed := w.Write(buffer[:n]); failed != nil || flush() != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// accept is the answer to a Sec-WebSocket-Key (RFC 6455 section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(strings.TrimSpace(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
