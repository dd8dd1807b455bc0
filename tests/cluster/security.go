// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
)

// capabilityNames are those of Linux, each at its number.
var capabilityNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
	"SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
	"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// usualCapabilities are what container runtimes leave to root when nothing else is asked for.
var usualCapabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
	"NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
}

const allCapabilities = "ALL"

// privileges is what a container's processes may do.
type privileges struct {
	User, Group     int
	Groups          []int  // supplementary ones
	Capabilities    uint64 // the bounding set; root has all of them, other users none
	NoNewPrivileges bool
	ReadOnlyRoot    bool // nothing outside of the volumes can be written
}

// privilegesOf reads the security contexts of a Pod and of a container in it.  What cannot be had is
// an error: such a container does not start.
func privilegesOf(pod *v1.PodSecurityContext, container *v1.SecurityContext, i image) (privileges, error) {
	if pod == nil {
		pod = &v1.PodSecurityContext{}
	}
	if container == nil {
		container = &v1.SecurityContext{}
	}
	p := privileges{User: i.User, Group: i.User, Capabilities: capabilityMask(usualCapabilities)}
	for _, user := range []*int64{pod.RunAsUser, container.RunAsUser} {
		if user != nil {
			p.User = int(*user)
		}
	}
	for _, group := range []*int64{pod.RunAsGroup, container.RunAsGroup} {
		if group != nil {
			p.Group = int(*group)
		}
	}
	nonRoot := pod.RunAsNonRoot
	if container.RunAsNonRoot != nil {
		nonRoot = container.RunAsNonRoot
	}
	if isTrue(nonRoot) && p.User == 0 {
		return p, fmt.Errorf("container has runAsNonRoot and would run as root")
	}
	p.Groups = []int{p.Group}
	for _, group := range pod.SupplementalGroups {
		p.Groups = append(p.Groups, int(group))
	}
	if pod.FSGroup != nil {
		p.Groups = append(p.Groups, int(*pod.FSGroup))
	}
	if isTrue(container.Privileged) {
		p.Capabilities = capabilityMask([]string{allCapabilities})
	} else if change := container.Capabilities; change != nil {
		mask := func(list []v1.Capability) uint64 {
			var names []string
			for _, name := range list {
				names = append(names, string(name))
			}
			return capabilityMask(names)
		}
		if slices.Contains(change.Add, allCapabilities) {
			p.Capabilities = mask(change.Add) &^ mask(change.Drop)
		} else {
			p.Capabilities = p.Capabilities&^mask(change.Drop) | mask(change.Add)
		}
	}
	p.NoNewPrivileges = container.AllowPrivilegeEscalation != nil && !*container.AllowPrivilegeEscalation
	p.ReadOnlyRoot = isTrue(container.ReadOnlyRootFilesystem)
	for _, profile := range []*v1.SeccompProfile{pod.SeccompProfile, container.SeccompProfile} {
		if profile != nil && profile.Type == v1.SeccompProfileTypeLocalhost {
			return p, fmt.Errorf("seccomp profiles of the node's own are not supported")
		}
	}
	return p, nil
}

func isTrue(value *bool) bool { return value != nil && *value }

// capabilityMask is a bit for each name, with or without CAP_ before it; unknown ones are left out.
func capabilityMask(names []string) (mask uint64) {
	for _, name := range names {
		if name == allCapabilities {
			return ^uint64(0)
		}
		if number := slices.Index(capabilityNames, strings.TrimPrefix(name, "CAP_")); number >= 0 {
			mask |= 1 << number
		}
	}
	return mask
}

// take gives up what this thread, which is root's, has beyond these privileges.  The program that it
// becomes has no more.
func (p *privileges) take() error {
	if p.ReadOnlyRoot {
		if err := syscall.Mount("", "/", "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("read-only root: %w", err)
		}
	}
	// What the process itself writes to is the node's.
	for _, fd := range []int{1, 2} {
		syscall.Fchown(fd, p.User, p.Group)
	}
	for number := range uintptr(64) {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, number, 0, 0, 0)
		if err != nil {
			break // this kernel has no more
		}
		if held == 1 && p.Capabilities&(1<<number) == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, number, 0, 0, 0); err != nil {
				return fmt.Errorf("capability %d: %w", number, err)
			}
		}
	}
	if err := syscall.Setgroups(p.Groups); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if err := syscall.Setgid(p.Group); err != nil {
		return fmt.Errorf("group: %w", err)
	}
	if err := syscall.Setuid(p.User); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	for i := range sets { // by now another user has none
		kept := uint32(p.Capabilities >> (32 * i))
		sets[i].Permitted &= kept
		sets[i].Effective &= kept
		sets[i].Inheritable = 0
	}
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if p.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no new privileges: %w", err)
		}
	}
	return nil
}

// giveToGroup lets a group read, and where `write` is set write, all that is in a volume, as fsGroup has it.
func giveToGroup(volume string, group int, write bool) error {
	return filepath.WalkDir(volume, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := os.Lchown(path, -1, group); err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode() | 0o440
		if write {
			mode |= 0o220
		}
		if entry.IsDir() {
			mode |= 0o110 | fs.ModeSetgid // what is made in it belongs to the group, too
		}
		return os.Chmod(path, mode)
	})
}

// setSysctls sets what a Pod asks for in its network, which the calling thread is in.
func setSysctls(list []v1.Sysctl) error {
	for _, one := range list {
		if !strings.HasPrefix(one.Name, "net.") {
			return fmt.Errorf("sysctl %s: only those of the network are supported", one.Name)
		}
		file := filepath.Join("/proc/sys", strings.ReplaceAll(one.Name, ".", "/"))
		if err := os.WriteFile(file, []byte(one.Value), 0); err != nil {
			return fmt.Errorf("sysctl %s: %w", one.Name, err)
		}
	}
	return nil
}
