// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// control does to a running cluster what tests ask for, through a socket in its
// folder.
type control struct {
	plane *controlPlane
	proxy *serviceProxy
	node  *kubelet
}

func (o *options) controlSocket() string { return filepath.Join(o.dir, "control.sock") }

// serve answers "POST /VERB?argument=..." with 200 and what there is to say, or
// with 400 and why it was not done.
func (c *control) serve(ctx context.Context, socket string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		answer, err := c.do(ctx, strings.TrimPrefix(r.URL.Path, "/"), r.URL.Query().Get("argument"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, answer)
	}
	go http.Serve(listener, http.HandlerFunc(handler))
	return nil
}

func (c *control) do(ctx context.Context, verb, argument string) (string, error) {
	switch verb {
	case "stop":
		return "", c.plane.stop(argument)
	case "start":
		return "", c.plane.startAgain(ctx, argument)
	case "pause", "resume":
		return "", c.plane.pause(argument, verb == "pause")
	case "compact":
		return c.compact(ctx)
	case "cut", "vanish", "freeze", "refuse", "mend":
		return c.proxy.fault(verb, argument)
	case "renew-tokens":
		return "", c.node.renewTokens()
	case "pid":
		return c.node.containerPID(argument)
	}
	return "", fmt.Errorf("unknown fault %q", verb)
}

// compact has etcd forget all revisions but the present one: a watch that wants
// to go on from an older one gets 410, once the API server's own cache has gone
// too (stop and start it).
func (c *control) compact(ctx context.Context) (string, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcdURL}, DialTimeout: 5 * time.Second})
	if err != nil {
		return "", err
	}
	defer client.Close()
	present, err := client.Get(ctx, "present-revision")
	if err != nil {
		return "", err
	}
	if _, err = client.Compact(ctx, present.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return "", err
	}
	return fmt.Sprintln(present.Header.Revision), nil
}

// call asks the node process for something.
func (o *options) call(verb, argument string) (string, error) {
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", o.controlSocket())
		},
	}}
	response, err := client.Post("http://cluster/"+verb+"?argument="+url.QueryEscape(argument), "", nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSpace(string(text)))
	}
	return string(text), nil
}

// fault is the command of that name.
func fault(args []string) error {
	o, err := parseOptions("fault", args)
	if err != nil {
		return err
	}
	if len(o.rest) < 1 || len(o.rest) > 2 {
		return fmt.Errorf("fault: want a verb and its argument")
	}
	if err := o.awaitRunning(); err != nil {
		return err
	}
	answer, err := o.call(o.rest[0], strings.Join(o.rest[1:], ""))
	fmt.Fprint(os.Stdout, answer)
	return err
}
