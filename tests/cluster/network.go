// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
)

// The addresses of the cluster.  They exist only in the cluster's own network
// namespace, so that any number of clusters can use the same ones side by side.
// (Loopback addresses would not do: EndpointSlices with them are refused.)
const (
	bridgeName = "pods"
	nodeIP     = "10.77.0.1" // the bridge, which is also the API server's address
	podNetwork = "10.77.0.0/16"

	serviceNetwork      = "10.96.0.0/16"
	apiServiceIP        = "10.96.0.1"
	loadBalancerNetwork = "10.78.0.0/24"

	// The same for IPv6; a Pod has the same last 16 bits in both.
	nodeIP6              = "fd00:77::1"
	podNetwork6          = "fd00:77::/64"
	serviceNetwork6      = "fd00:96::/112"
	loadBalancerNetwork6 = "fd00:78::/120"
)

// dualStack tells whether this machine has IPv6 at all.
func dualStack() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err == nil
}

// addAddress gives a link an address that can be used at once.
func addAddress(link netlink.Link, ip, network string) error {
	prefix, address := netip.MustParsePrefix(network), netip.MustParseAddr(ip)
	mask := net.CIDRMask(prefix.Bits(), address.BitLen())
	a := &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: mask}}
	if address.Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return netlink.AddrAdd(link, a)
}

// enterNetwork moves the calling thread to another network namespace.
func enterNetwork(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
}

// setUpNodeNetwork makes the bridge of the Pods, and has the node accept
// connections to every Service and load balancer address.
func setUpNodeNetwork() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	// Without an address of its own a bridge takes the lowest of its ports: with a new
	// Pod it may change, and those before it do not reach the node for half a minute.
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{
		Name: bridgeName, HardwareAddr: net.HardwareAddr{0x02, 0, 0x0a, 0x4d, 0, 0x01},
	}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	if err := addAddress(bridge, nodeIP, podNetwork); err != nil {
		return err
	}
	networks := []string{serviceNetwork, loadBalancerNetwork}
	if dualStack() {
		if err := addAddress(bridge, nodeIP6, podNetwork6); err != nil {
			return err
		}
		networks = append(networks, serviceNetwork6, loadBalancerNetwork6)
		// Unlike IPv4, a route is not enough to listen on an address.
		if err := os.WriteFile("/proc/sys/net/ipv6/ip_nonlocal_bind", []byte("1"), 0); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return err
	}
	for _, network := range networks {
		_, destination, err := net.ParseCIDR(network)
		if err != nil {
			return err
		}
		// ip route add local NETWORK dev lo: any of its addresses can be listened on.
		route := &netlink.Route{
			LinkIndex: lo.Attrs().Index, Dst: destination,
			Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST,
		}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("route to %s: %w", network, err)
		}
	}
	return nil
}

// podNetworks hands out Pod addresses.  An address is used again only after all
// others, so that nobody meets a new Pod behind the address of an old one.
type podNetworks struct {
	mu   sync.Mutex
	last netip.Addr
	used map[netip.Addr]bool
}

func (p *podNetworks) allocate() (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	prefix := netip.MustParsePrefix(podNetwork)
	if p.used == nil {
		p.used = map[netip.Addr]bool{}
		p.last = netip.MustParseAddr(nodeIP)
	}
	for range 1 << 16 {
		p.last = p.last.Next()
		if !prefix.Contains(p.last.Next()) { // the last one is the broadcast address
			p.last = netip.MustParseAddr(nodeIP)
			continue
		}
		if !p.used[p.last] {
			p.used[p.last] = true
			return p.last, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no free Pod address in %s", podNetwork)
}

func (p *podNetworks) release(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, a)
}

// podNet is the network namespace of a Pod.  It lives as long as the file is open
// or a process is in it.
type podNet struct {
	ip        netip.Addr
	namespace *os.File
}

// newPodNet makes a network namespace connected to the bridge, with the settings that a Pod asks for.
func (p *podNetworks) newPodNet(sysctls []v1.Sysctl) (*podNet, error) {
	ip, err := p.allocate()
	if err != nil {
		return nil, err
	}
	namespace, err := newNetworkNamespace()
	if err != nil {
		p.release(ip)
		return nil, err
	}
	pod := &podNet{ip: ip, namespace: namespace}
	if err := pod.connect(sysctls); err != nil {
		p.remove(pod)
		return nil, fmt.Errorf("network of Pod %s: %w", ip, err)
	}
	return pod, nil
}

func (p *podNetworks) remove(pod *podNet) {
	// Removing one end of the pair removes both, at once: the namespace itself
	// goes when its last process has gone.
	if link, err := netlink.LinkByName(pod.linkName()); err == nil {
		netlink.LinkDel(link)
	}
	pod.namespace.Close()
	p.release(pod.ip)
}

// ip6 is the Pod's other address, or not valid if this machine has no IPv6.
func (pod *podNet) ip6() netip.Addr {
	if !dualStack() {
		return netip.Addr{}
	}
	six, four := netip.MustParsePrefix(podNetwork6).Addr().As16(), pod.ip.As4()
	six[14], six[15] = four[2], four[3]
	return netip.AddrFrom16(six)
}

func (pod *podNet) linkName() string {
	a := pod.ip.As4()
	return "pod" + strconv.Itoa(int(a[2])<<8|int(a[3]))
}

func (pod *podNet) connect(sysctls []v1.Sysctl) error {
	bridge, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	pair := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: pod.linkName(), MasterIndex: bridge.Attrs().Index},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(pod.namespace.Fd()),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return err
	}
	return inNetwork(pod.namespace, func() error {
		for _, name := range []string{"lo", "eth0"} {
			link, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			if name == "eth0" {
				if err := addAddress(link, pod.ip.String(), podNetwork); err != nil {
					return err
				}
				if six := pod.ip6(); six.IsValid() {
					if err := addAddress(link, six.String(), podNetwork6); err != nil {
						return err
					}
				}
			}
			if err := netlink.LinkSetUp(link); err != nil {
				return err
			}
		}
		// Ports below 1024 need a capability, as long as the Pod does not ask for another limit: many container runtimes
		// are not that strict, so who needs none here needs none anywhere.
		if err := setSysctls(sysctls); err != nil {
			return err
		}
		if pod.ip6().IsValid() {
			if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(nodeIP6)}); err != nil {
				return err
			}
		}
		return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(nodeIP)})
	})
}

// newNetworkNamespace makes a namespace by visiting it with a thread which is
// thrown away afterwards.
func newNetworkNamespace() (namespace *os.File, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			namespace, err = os.Open("/proc/thread-self/ns/net")
		}
	}()
	<-done
	return namespace, err
}

// inNetwork calls f on a thread inside the namespace.
func inNetwork(namespace *os.File, f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, as above
		if err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err == nil {
			err = f()
		}
	}()
	<-done
	return err
}
