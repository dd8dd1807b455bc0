// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe runs a container's probes: for readiness until the context ends, the
// others no longer than the Pod is to live.  A failed startup or liveness probe
// calls kill.
func (w *podWorker) probe(ctx context.Context, c *v1.Container, pid int, kill func()) {
	alive, stop := context.WithCancel(ctx)
	context.AfterFunc(w.ctx, stop)
	if c.StartupProbe != nil {
		if !w.repeat(alive, c, c.StartupProbe, pid, func(ok bool) bool { return ok }) {
			if alive.Err() == nil {
				kill()
			}
			return
		}
		w.setState(c.Name, func(s *v1.ContainerStatus) {
			yes := true
			s.Started, s.Ready = &yes, c.ReadinessProbe == nil
		})
	}
	if c.ReadinessProbe != nil {
		go w.repeat(ctx, c, c.ReadinessProbe, pid, func(ok bool) bool {
			w.setState(c.Name, func(s *v1.ContainerStatus) { s.Ready = ok && ctx.Err() == nil })
			return false
		})
	}
	if c.LivenessProbe != nil {
		go w.repeat(alive, c, c.LivenessProbe, pid, func(ok bool) bool {
			if !ok {
				kill()
			}
			return !ok
		})
	}
}

// repeat runs a probe periodically and reports each change of its result, seen
// as often as the probe's thresholds ask for, until report returns true.  It
// returns the last result.
func (w *podWorker) repeat(ctx context.Context, c *v1.Container, p *v1.Probe, pid int, report func(bool) bool) bool {
	seconds := func(n, otherwise int32) time.Duration {
		if n <= 0 {
			n = otherwise
		}
		return time.Duration(n) * time.Second
	}
	wait := time.Duration(p.InitialDelaySeconds) * time.Second
	if wait == 0 {
		wait = 100 * time.Millisecond // a first look right after the start saves a period
	}
	var everOK, everReported, reported, last bool
	var count int32
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
		attempt, cancel := context.WithTimeout(ctx, seconds(p.TimeoutSeconds, 1))
		ok := w.handle(attempt, c, p.ProbeHandler, pid) == nil
		cancel()
		if ok == last {
			count++
		} else {
			last, count = ok, 1
		}
		threshold := max(p.SuccessThreshold, 1)
		if !ok {
			threshold = max(p.FailureThreshold, 1)
		}
		if count >= threshold && (!everReported || reported != ok) && ctx.Err() == nil {
			everReported, reported = true, ok
			if report(ok) {
				return ok
			}
			if p == c.StartupProbe && !ok {
				return false
			}
		}
		wait = seconds(p.PeriodSeconds, 10)
		if everOK = everOK || ok; !everOK && p == c.ReadinessProbe {
			wait = min(wait, time.Second/2) // a Pod that is starting is looked at more often
		}
	}
}

// handle does once what a probe or hook asks for.
func (w *podWorker) handle(ctx context.Context, c *v1.Container, p v1.ProbeHandler, pid int) error {
	switch {
	case p.HTTPGet != nil:
		host, port := p.HTTPGet.Host, containerPort(c, p.HTTPGet.Port)
		if host == "" {
			host = w.net.ip.String()
		}
		scheme := "http"
		if p.HTTPGet.Scheme == v1.URISchemeHTTPS {
			scheme = "https"
		}
		url := scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port)) + p.HTTPGet.Path
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		request.Header.Set("User-Agent", "kube-probe/test")
		for _, h := range p.HTTPGet.HTTPHeaders {
			if http.CanonicalHeaderKey(h.Name) == "Host" {
				request.Host = h.Value
			}
			request.Header.Add(h.Name, h.Value)
		}
		client := http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode < 200 || response.StatusCode >= 400 {
			return fmt.Errorf("status %s", response.Status)
		}
		return nil
	case p.TCPSocket != nil:
		address := net.JoinHostPort(w.net.ip.String(), strconv.Itoa(containerPort(c, p.TCPSocket.Port)))
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			connection.Close()
		}
		return err
	}
	if p.Exec != nil {
		return execute(ctx, pid, p.Exec.Command)
	}
	return nil // grpc probes are not supported: they always succeed
}

func containerPort(c *v1.Container, port intstr.IntOrString) int {
	if port.Type == intstr.String {
		for _, p := range c.Ports {
			if p.Name == port.StrVal {
				return int(p.ContainerPort)
			}
		}
	}
	return port.IntValue()
}
