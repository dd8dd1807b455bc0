// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const udpSessionLife = 30 * time.Second

// serviceProxy makes Services reachable at their cluster and load balancer
// addresses, and gives load balancer addresses out.  It listens on every
// address and port itself and copies the data to a ready endpoint: slower than
// the rules of a kernel, but it needs nothing from the kernel.  The endpoint
// sees connections coming from the node's address.
type serviceProxy struct {
	client   kubernetes.Interface
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
	dirty    chan struct{}

	mu         sync.Mutex // guards forwarders and faults, which tests reach for
	forwarders map[frontend]*forwarder
	faults     map[string]string     // by NAMESPACE/NAME: "freeze" or "refuse"
	given      map[netip.Addr]string // load balancer addresses and whose they are
}

// target is where the connections to a frontend go.
type target struct {
	service  string // NAMESPACE/NAME
	backends []string
}

// frontend is one address at which a Service can be reached.
type frontend struct {
	protocol v1.Protocol
	address  netip.AddrPort
}

func startServiceProxy(ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory) *serviceProxy {
	s := &serviceProxy{
		client:     client,
		services:   factory.Core().V1().Services().Lister(),
		slices:     factory.Discovery().V1().EndpointSlices().Lister(),
		dirty:      make(chan struct{}, 1),
		forwarders: map[frontend]*forwarder{}, faults: map[string]string{}, given: map[netip.Addr]string{},
	}
	changed := func(any) {
		select {
		case s.dirty <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: changed, DeleteFunc: changed, UpdateFunc: func(_, object any) { changed(object) },
	}
	factory.Core().V1().Services().Informer().AddEventHandler(handler)
	factory.Discovery().V1().EndpointSlices().Informer().AddEventHandler(handler)
	return s
}

func (s *serviceProxy) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.dirty:
			s.sync(ctx)
		}
	}
}

// sync brings the forwarders in line with the Services and EndpointSlices.
func (s *serviceProxy) sync(ctx context.Context) {
	services, err := s.services.List(labels.Everything())
	if err != nil {
		klog.ErrorS(err, "list Services")
		return
	}
	slices.SortFunc(services, func(a, b *v1.Service) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	s.giveAddresses(ctx, services)

	wanted := map[frontend]target{}
	for _, service := range services {
		for _, port := range service.Spec.Ports {
			for _, ip := range serviceAddresses(service) {
				to := target{service.Namespace + "/" + service.Name, s.backends(service, port, ip.Is6())}
				wanted[frontend{port.Protocol, netip.AddrPortFrom(ip, uint16(port.Port))}] = to
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for f, forwarder := range s.forwarders {
		if _, ok := wanted[f]; !ok {
			forwarder.close()
			delete(s.forwarders, f)
		}
	}
	for f, to := range wanted {
		existing := s.forwarders[f]
		if existing == nil {
			if existing, err = newForwarder(f); err != nil {
				klog.ErrorS(err, "cannot listen for a Service", "address", f.address)
				continue
			}
			s.forwarders[f] = existing
		}
		existing.setTarget(to)
		existing.setFault(s.faults[to.service])
	}
}

// fault breaks the TCP connections that go through a Service, see faults.go.
func (s *serviceProxy) fault(verb, service string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit []*forwarder
	for _, f := range s.forwarders {
		if f.target().service == service && f.listener != nil {
			hit = append(hit, f)
		}
	}
	if len(hit) == 0 && verb != "mend" {
		return "", fmt.Errorf("no Service %q with an address", service)
	}
	connections := 0
	switch verb {
	case "freeze", "refuse":
		s.faults[service] = verb
	case "mend":
		delete(s.faults, service)
	}
	for _, f := range hit {
		f.setFault(s.faults[service])
		switch verb {
		case "cut", "refuse":
			connections += f.drop(reset)
		case "vanish":
			connections += f.drop(vanish)
		}
	}
	return fmt.Sprintf("%d connections\n", connections), nil
}

// serviceAddresses returns the addresses of a Service which this node serves.
func serviceAddresses(service *v1.Service) (addresses []netip.Addr) {
	for _, text := range service.Spec.ClusterIPs {
		if ip, err := netip.ParseAddr(text); err == nil { // not "None"
			addresses = append(addresses, ip)
		}
	}
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if ip, err := netip.ParseAddr(ingress.IP); err == nil && loadBalancers(ip.Is6()).Contains(ip) {
			addresses = append(addresses, ip)
		}
	}
	return addresses
}

// loadBalancers is the network that addresses of an IP family are given out of.
func loadBalancers(six bool) netip.Prefix {
	if six {
		return netip.MustParsePrefix(loadBalancerNetwork6)
	}
	return netip.MustParsePrefix(loadBalancerNetwork)
}

// backends returns the addresses of the ready endpoints of a Service's port; if
// there is none, of those that still serve while they end, as kube-proxy does.  They are
// of one IP family.
func (s *serviceProxy) backends(service *v1.Service, port v1.ServicePort, six bool) []string {
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name})
	list, err := s.slices.EndpointSlices(service.Namespace).List(selector)
	if err != nil {
		return nil
	}
	var ready, ending []string
	for _, slice := range list {
		if (slice.AddressType == discoveryv1.AddressTypeIPv6) != six {
			continue
		}
		for _, p := range slice.Ports {
			if p.Port == nil || p.Name == nil || *p.Name != port.Name {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				var to *[]string
				switch c := endpoint.Conditions; {
				case c.Ready == nil || *c.Ready || service.Spec.PublishNotReadyAddresses:
					to = &ready
				case c.Serving != nil && *c.Serving && c.Terminating != nil && *c.Terminating:
					to = &ending
				default:
					continue
				}
				for _, address := range endpoint.Addresses {
					*to = append(*to, net.JoinHostPort(address, strconv.Itoa(int(*p.Port))))
				}
			}
		}
	}
	if len(ready) == 0 {
		ready = ending
	}
	slices.Sort(ready)
	return slices.Compact(ready)
}

// giveAddresses gives every load balancer Service an address of each of its IP
// families: the one it asks for if that is free, else the one it has or any free
// one.
func (s *serviceProxy) giveAddresses(ctx context.Context, services []*v1.Service) {
	// Kept from one call to the next: what the informer shows may be older than what was given, and
	// the address would be given again.
	alive := map[string]bool{}
	for _, service := range services {
		alive[string(service.UID)] = service.Spec.Type == v1.ServiceTypeLoadBalancer
	}
	for ip, owner := range s.given {
		if !alive[owner] {
			delete(s.given, ip)
		}
	}
	for _, service := range services {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			ip, err := netip.ParseAddr(ingress.IP)
			if err == nil && service.Spec.Type == v1.ServiceTypeLoadBalancer && s.given[ip] == "" {
				s.given[ip] = string(service.UID)
			}
		}
	}
	for _, service := range services {
		if service.Spec.Type != v1.ServiceTypeLoadBalancer || service.DeletionTimestamp != nil {
			continue
		}
		var have, want []netip.Addr
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			if ip, err := netip.ParseAddr(ingress.IP); err == nil {
				have = append(have, ip)
			}
		}
		for _, family := range service.Spec.IPFamilies {
			ip, err := s.addressFor(service, have, family == v1.IPv6Protocol)
			if err != nil {
				klog.V(2).InfoS("no load balancer address", "service", klog.KObj(service), "err", err)
				continue
			}
			s.given[ip] = string(service.UID)
			want = append(want, ip)
		}
		for ip, owner := range s.given {
			if owner == string(service.UID) && !slices.Contains(want, ip) {
				delete(s.given, ip)
			}
		}
		if slices.Equal(have, want) {
			continue
		}
		changed := service.DeepCopy()
		changed.Status.LoadBalancer.Ingress = nil
		for _, ip := range want {
			changed.Status.LoadBalancer.Ingress = append(changed.Status.LoadBalancer.Ingress, v1.LoadBalancerIngress{IP: ip.String()})
		}
		// The update makes the informer call us again.
		if _, err := s.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{}); err != nil {
			klog.V(2).InfoS("load balancer address", "service", klog.KObj(service), "err", err)
		}
	}
}

// addressFor returns the address of one IP family that a Service is to have.
func (s *serviceProxy) addressFor(service *v1.Service, have []netip.Addr, six bool) (netip.Addr, error) {
	pool, owner := loadBalancers(six), string(service.UID)
	if asked := service.Spec.LoadBalancerIP; asked != "" {
		ip, err := netip.ParseAddr(asked)
		if err != nil || ip.Is6() == six {
			if err == nil && (!pool.Contains(ip) || s.given[ip] != "" && s.given[ip] != owner) {
				err = fmt.Errorf("%s is not in %s, or another Service has it", asked, pool)
			}
			return ip, err
		}
	}
	for _, ip := range have {
		if ip.Is6() == six && s.given[ip] == owner {
			return ip, nil
		}
	}
	for ip, whose := range s.given {
		if ip.Is6() == six && whose == owner {
			return ip, nil
		}
	}
	for ip := pool.Addr().Next(); pool.Contains(ip.Next()); ip = ip.Next() {
		if s.given[ip] == "" {
			return ip, nil
		}
	}
	return netip.Addr{}, errors.New("no free address in " + pool.String())
}

// forwarder serves one frontend.
type forwarder struct {
	listener net.Listener
	packets  *net.UDPConn

	mu       sync.Mutex
	to       target
	sessions map[netip.AddrPort]*net.UDPConn // of UDP clients
	pairs    map[*pair]bool                  // of TCP connections
	gate     gate
	refusing bool
}

func newForwarder(f frontend) (*forwarder, error) {
	forward := &forwarder{sessions: map[netip.AddrPort]*net.UDPConn{}, pairs: map[*pair]bool{}}
	var err error
	switch f.protocol {
	case v1.ProtocolTCP:
		if forward.listener, err = net.Listen("tcp", f.address.String()); err == nil {
			go forward.acceptAll()
		}
	case v1.ProtocolUDP:
		if forward.packets, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(f.address)); err == nil {
			go forward.receiveAll()
		}
	default:
		err = fmt.Errorf("protocol %s is not supported", f.protocol)
	}
	return forward, err
}

func (f *forwarder) setTarget(to target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = to
}

func (f *forwarder) target() target {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.to
}

// pick returns the backends in a random order.
func (f *forwarder) pick() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	backends := slices.Clone(f.to.backends)
	rand.Shuffle(len(backends), func(i, j int) { backends[i], backends[j] = backends[j], backends[i] })
	return backends
}

func (f *forwarder) close() {
	if f.listener != nil {
		f.listener.Close()
	}
	if f.packets != nil {
		f.packets.Close()
	}
}

func (f *forwarder) acceptAll() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		go f.forwardTCP(client.(*net.TCPConn))
	}
}

// forwardTCP copies both directions.  A connection that cannot be forwarded is
// reset, which is what a Service without endpoints looks like.
func (f *forwarder) forwardTCP(client *net.TCPConn) {
	defer client.Close()
	for _, backend := range f.pick() {
		connection, err := net.DialTimeout("tcp", backend, 2*time.Second)
		if err != nil {
			continue
		}
		both := &pair{client: client, server: connection.(*net.TCPConn)}
		defer both.server.Close()
		if !f.add(both) {
			break
		}
		defer f.forget(both)
		done := make(chan struct{}, 2)
		go f.transfer(both.server, client, done)
		go f.transfer(client, both.server, done)
		<-done
		<-done
		return
	}
	client.SetLinger(0)
}

// transfer copies one direction until it ends; a reset is passed on as a reset.
func (f *forwarder) transfer(to, from *net.TCPConn, done chan<- struct{}) {
	buffer := make([]byte, 32<<10)
	var err error
	for err == nil {
		var n int
		n, err = from.Read(buffer)
		f.gate.pass()
		if n > 0 {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				err = failed
			}
		}
	}
	if err == io.EOF {
		to.CloseWrite()
	} else {
		to.SetLinger(0)
		to.Close()
	}
	done <- struct{}{}
}

func (f *forwarder) receiveAll() {
	buffer := make([]byte, 65536)
	for {
		n, client, err := f.packets.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if session := f.session(client); session != nil {
			session.SetReadDeadline(time.Now().Add(udpSessionLife))
			session.Write(buffer[:n])
		}
	}
}

// session returns the socket that stands for a client at its backend.
func (f *forwarder) session(client netip.AddrPort) *net.UDPConn {
	f.mu.Lock()
	session := f.sessions[client]
	f.mu.Unlock()
	if session != nil {
		return session
	}
	backends := f.pick()
	if len(backends) == 0 {
		return nil
	}
	connection, err := net.Dial("udp", backends[0])
	if err != nil {
		return nil
	}
	session = connection.(*net.UDPConn)
	f.mu.Lock()
	f.sessions[client] = session
	f.mu.Unlock()
	go func() {
		defer session.Close()
		buffer := make([]byte, 65536)
		for {
			n, err := session.Read(buffer)
			if err != nil {
				break
			}
			f.packets.WriteToUDPAddrPort(buffer[:n], client)
		}
		f.mu.Lock()
		delete(f.sessions, client)
		f.mu.Unlock()
	}()
	return session
}
