// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// containerSpec is what the node tells a container's first process.
type containerSpec struct {
	Root    string // where its root filesystem is to be mounted
	Image   string // the folder that it is made of
	Mounts  []mount
	Command []string
	Env     []string
	Dir     string // working directory

	Privileges privileges

	Hostname, PodIP, ResolvConf string
}

type mount struct {
	Source, Target string
	ReadOnly       bool
}

// runOnce runs a container's process until it ends, and returns its exit code.
// An error means that it could not be started.
func (w *podWorker) runOnce(c *v1.Container) (int, error) {
	spec, err := w.containerSpec(c)
	if err != nil {
		return 0, err
	}
	encoded, err := json.Marshal(spec)
	if err != nil {
		return 0, err
	}
	log, err := newLogWriter(w.logFile(c.Name))
	if err != nil {
		return 0, err
	}
	defer log.Close()

	process := exec.Command("/proc/self/exe", "container")
	process.Stdin = bytes.NewReader(encoded)
	process.Stdout, process.Stderr = log, log
	process.ExtraFiles = []*os.File{w.net.namespace}
	process.Env = []string{}
	process.WaitDelay = time.Second // for output pipes kept open by grandchildren
	process.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setpgid:    true,
	}
	if err := process.Start(); err != nil {
		return 0, err
	}
	group := -process.Process.Pid
	began := metav1.Now()
	id := fmt.Sprintf("process://%d", process.Process.Pid)
	started := c.StartupProbe == nil
	w.setState(c.Name, func(s *v1.ContainerStatus) {
		s.State = v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: began}}
		s.ContainerID, s.ImageID = id, "file://"+c.Image
		s.Started = &started
		s.Ready = started && c.ReadinessProbe == nil
	})

	// Until the process ends; the liveness probe ends with the Pod's wish to live.
	life, ended := context.WithCancel(w.kubelet.ctx)
	var terminating sync.Once
	terminate := func() { terminating.Do(func() { go w.terminate(life, c, process.Process.Pid) }) }
	stopping := context.AfterFunc(w.ctx, terminate)
	if c.Lifecycle != nil && c.Lifecycle.PostStart != nil {
		go func() {
			if err := w.hook(life, c, c.Lifecycle.PostStart, process.Process.Pid); err != nil && life.Err() == nil {
				klog.ErrorS(err, "postStart hook", "pod", klog.KObj(w.pod), "container", c.Name)
				terminate()
			}
		}()
	}
	go w.probe(life, c, process.Process.Pid, terminate)
	err = process.Wait()
	ended()
	stopping()
	syscall.Kill(group, syscall.SIGKILL) // what it has left behind

	code, reason := 0, "Completed"
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, reason = exit.ExitCode(), "Error"
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			code = 128 + int(status.Signal())
		}
	}
	w.setState(c.Name, func(s *v1.ContainerStatus) {
		no := false
		s.Ready, s.Started = false, &no
		s.State = v1.ContainerState{Terminated: &v1.ContainerStateTerminated{
			ExitCode: int32(code), Reason: reason, StartedAt: began, FinishedAt: metav1.Now(), ContainerID: id,
		}}
	})
	return code, nil
}

// terminate ends a container in order: the preStop hook, SIGTERM, and SIGKILL
// when the grace period is over, which the hook is part of.
func (w *podWorker) terminate(life context.Context, c *v1.Container, pid int) {
	deadline, stop := context.WithCancel(life)
	defer stop()
	began := time.Now()
	go func() {
		for !w.timeToKill(began) {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-life.Done():
				return
			}
		}
		stop()
		syscall.Kill(-pid, syscall.SIGKILL)
	}()
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		if err := w.hook(deadline, c, c.Lifecycle.PreStop, pid); err != nil && life.Err() == nil {
			klog.ErrorS(err, "preStop hook", "pod", klog.KObj(w.pod), "container", c.Name)
		}
	}
	if life.Err() == nil {
		syscall.Kill(-pid, syscall.SIGTERM)
	}
	<-life.Done()
}

// hook runs a lifecycle hook of a container.
func (w *podWorker) hook(ctx context.Context, c *v1.Container, h *v1.LifecycleHandler, pid int) error {
	if h.Sleep != nil {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(h.Sleep.Seconds) * time.Second):
		}
		return nil
	}
	return w.handle(ctx, c, v1.ProbeHandler{Exec: h.Exec, HTTPGet: h.HTTPGet, TCPSocket: h.TCPSocket}, pid)
}

// enterContainer is the command that runs a program in the container of a
// process, with the environment of the one who runs it.
func enterContainer(pid string, program []string) []string {
	return append([]string{"nsenter", "--target", pid, "--mount", "--net", "--uts", "--ipc", "--root", "--wd", "--"}, program...)
}

// execute runs a program in a container with the container's environment.
func execute(ctx context.Context, pid int, program []string) error {
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return err
	}
	command := enterContainer(strconv.Itoa(pid), program)
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	process.Env = strings.Split(strings.TrimRight(string(environment), "\x00"), "\x00")
	if output, err := process.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(output))
	}
	return nil
}

// containerPID returns the process of NAMESPACE/POD[/CONTAINER], as the node's
// PID namespace numbers it.
func (k *kubelet) containerPID(name string) (string, error) {
	parts := strings.Split(name, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return "", fmt.Errorf("want NAMESPACE/POD[/CONTAINER], not %q", name)
	}
	k.mu.Lock()
	workers := slices.Collect(maps.Values(k.workers))
	k.mu.Unlock()
	for _, w := range workers {
		if w.pod.Namespace != parts[0] || w.pod.Name != parts[1] {
			continue
		}
		container := w.pod.Spec.Containers[0].Name
		if len(parts) == 3 {
			container = parts[2]
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if s := w.states[container]; s != nil && s.State.Running != nil {
			return strings.TrimPrefix(s.ContainerID, "process://"), nil
		}
	}
	return "", fmt.Errorf("no running container %s", name)
}

func (w *podWorker) containerSpec(c *v1.Container) (*containerSpec, error) {
	image, err := w.kubelet.options.images.find(c.Image)
	if err != nil {
		return nil, err
	}
	may, err := privilegesOf(w.pod.Spec.SecurityContext, c.SecurityContext, image)
	if err != nil {
		return nil, err
	}
	env, err := w.environment(c, image)
	if err != nil {
		return nil, err
	}
	spec := &containerSpec{
		Root:       filepath.Join(w.dir(), "root-"+c.Name),
		Image:      filepath.Join("/", image.Root),
		Dir:        c.WorkingDir,
		Privileges: may,
		Hostname:   w.pod.Name, PodIP: w.net.ip.String(), ResolvConf: resolvConf(w.pod.Namespace),
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		spec.Env = append(spec.Env, name+"="+env[name])
	}
	for inside, outside := range image.Files {
		spec.Mounts = append(spec.Mounts, mount{Source: outside, Target: inside, ReadOnly: true})
	}
	variables := expansion.MappingFuncFor(env)
	for _, m := range c.VolumeMounts {
		source, readOnly, err := w.volumePath(m.Name)
		if err != nil {
			return nil, err
		}
		subPath := m.SubPath
		if m.SubPathExpr != "" {
			subPath = expansion.Expand(m.SubPathExpr, variables)
		}
		if subPath != "" {
			source = filepath.Join(source, subPath)
			if _, err := os.Stat(source); os.IsNotExist(err) && !readOnly {
				if err := os.MkdirAll(source, 0o777); err != nil {
					return nil, err
				}
			}
		}
		spec.Mounts = append(spec.Mounts, mount{Source: source, Target: m.MountPath, ReadOnly: readOnly || m.ReadOnly})
	}
	// Parents are mounted before what is inside them.
	slices.SortStableFunc(spec.Mounts, func(a, b mount) int { return strings.Compare(a.Target, b.Target) })

	// A command given in the Pod replaces the entrypoint, as with any image; but
	// its program is the image's executable if it has the same file name.
	spec.Command = slices.Clone(image.Entrypoint)
	if len(c.Command) > 0 {
		spec.Command = nil
		for _, word := range c.Command {
			spec.Command = append(spec.Command, expansion.Expand(word, variables))
		}
		if filepath.Base(spec.Command[0]) == filepath.Base(image.Entrypoint[0]) {
			spec.Command[0] = image.Entrypoint[0]
		}
	}
	for _, word := range c.Args {
		spec.Command = append(spec.Command, expansion.Expand(word, variables))
	}
	return spec, os.MkdirAll(spec.Root, 0o755)
}

// environment returns the variables of a container.
func (w *podWorker) environment(c *v1.Container, i image) (map[string]string, error) {
	env := map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
		"HOSTNAME":                w.pod.Name,
		"KUBERNETES_SERVICE_HOST": apiServiceIP, "KUBERNETES_SERVICE_PORT": "443",
		"KUBERNETES_SERVICE_PORT_HTTPS": "443", "KUBERNETES_PORT": "tcp://" + apiServiceIP + ":443",
	}
	maps.Copy(env, i.Env)
	for _, from := range c.EnvFrom {
		var values map[string]string
		var err error
		if ref := from.ConfigMapRef; ref != nil {
			values, err = w.configMap(ref.Name, ref.Optional)
		} else if ref := from.SecretRef; ref != nil {
			values, err = w.secret(ref.Name, ref.Optional)
		}
		if err != nil {
			return nil, err
		}
		for name, value := range values {
			env[from.Prefix+name] = value
		}
	}
	variables := expansion.MappingFuncFor(env)
	for _, e := range c.Env {
		from := e.ValueFrom
		if from == nil {
			env[e.Name] = expansion.Expand(e.Value, variables)
			continue
		}
		var values map[string]string
		var key string
		var optional *bool
		var err error
		switch {
		case from.FieldRef != nil:
			env[e.Name], err = w.field(from.FieldRef.FieldPath)
			if err != nil {
				return nil, err
			}
			continue
		case from.ConfigMapKeyRef != nil:
			key, optional = from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Optional
			values, err = w.configMap(from.ConfigMapKeyRef.Name, optional)
		case from.SecretKeyRef != nil:
			key, optional = from.SecretKeyRef.Key, from.SecretKeyRef.Optional
			values, err = w.secret(from.SecretKeyRef.Name, optional)
		case from.ResourceFieldRef != nil:
			values, key = map[string]string{"": resourceField(c, from.ResourceFieldRef)}, ""
		default:
			err = fmt.Errorf("variable %s: this kind of source is not supported", e.Name)
		}
		if err != nil {
			return nil, err
		}
		value, found := values[key]
		if !found && (optional == nil || !*optional) {
			return nil, fmt.Errorf("variable %s: no key %q", e.Name, key)
		}
		if found {
			env[e.Name] = value
		}
	}
	return env, nil
}

func resourceField(c *v1.Container, ref *v1.ResourceFieldSelector) string {
	kind, name, _ := strings.Cut(ref.Resource, ".")
	list := c.Resources.Limits
	if kind == "requests" {
		list = c.Resources.Requests
	}
	quantity, ok := list[v1.ResourceName(name)]
	switch {
	case name == "cpu" && !ok:
		return fmt.Sprint(runtime.NumCPU())
	case name == "cpu":
		return fmt.Sprint((quantity.MilliValue() + 999) / 1000)
	}
	return fmt.Sprint(quantity.Value())
}

// configMap and secret return the values of an object, none if it is optional
// and does not exist.
func (w *podWorker) configMap(name string, optional *bool) (map[string]string, error) {
	object, err := w.kubelet.client.CoreV1().ConfigMaps(w.pod.Namespace).Get(w.ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	values := maps.Clone(object.Data)
	if values == nil {
		values = map[string]string{}
	}
	for key, value := range object.BinaryData {
		values[key] = string(value)
	}
	return values, nil
}

func (w *podWorker) secret(name string, optional *bool) (map[string]string, error) {
	object, err := w.kubelet.client.CoreV1().Secrets(w.pod.Namespace).Get(w.ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for key, value := range object.Data {
		values[key] = string(value)
	}
	return values, nil
}

// containerMain is the first process of a container, started in new mount, UTS
// and IPC namespaces.  It enters the Pod's network, makes the container's view
// of the filesystem and becomes the container's program.
func containerMain() error {
	runtime.LockOSThread() // the program must be started by the thread that entered the network
	var spec containerSpec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return err
	}
	if err := enterNetwork("/proc/self/fd/3"); err != nil {
		return err
	}
	syscall.CloseOnExec(3)
	if err := syscall.Sethostname([]byte(spec.Hostname)); err != nil {
		return err
	}
	if err := spec.enterRoot(); err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	if err := syscall.Dup3(int(null.Fd()), 0, 0); err != nil {
		return err
	}
	if spec.Dir != "" {
		if err := os.Chdir(spec.Dir); err != nil {
			return err
		}
	}
	os.Clearenv()
	for _, pair := range spec.Env {
		name, value, _ := strings.Cut(pair, "=")
		os.Setenv(name, value)
	}
	path, err := exec.LookPath(spec.Command[0])
	if err != nil {
		return err
	}
	if err := spec.Privileges.take(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, spec.Command, spec.Env))
}

// enterRoot makes the image, or the machine's own root filesystem, the container's,
// seen through an overlay which keeps all changes in memory and ends with the
// container, and mounts the volumes in it.
func (s *containerSpec) enterRoot() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	others := []string{"/dev", "/proc", "/sys"}
	if s.Image == "/" {
		var err error
		if others, err = otherMounts(s.Root); err != nil {
			return err
		}
	}
	if err := syscall.Mount("tmpfs", s.Root, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	root := filepath.Join(s.Root, "root")
	upper, work := filepath.Join(s.Root, "upper"), filepath.Join(s.Root, "work")
	for _, dir := range []string{root, upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", s.Image, upper, work)
	if err := syscall.Mount("overlay", root, "overlay", 0, layers); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	for _, path := range others { // an overlay does not show what is mounted below it
		if err := syscall.Mount(path, filepath.Join(root, path), "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s: %w", path, err)
		}
	}
	// The sources are opened here and mounted after chroot, so that links in the
	// targets (/var/run is one) lead to the container's files and not to ours.
	sources := make([]*os.File, len(s.Mounts))
	for i, m := range s.Mounts {
		var err error
		if sources[i], err = os.Open(m.Source); err != nil {
			return err
		}
	}
	if err := syscall.Chroot(root); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	for i, m := range s.Mounts {
		if err := bind(sources[i], m); err != nil {
			return fmt.Errorf("mount %s: %w", m.Target, err)
		}
		sources[i].Close()
	}
	hosts := fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", s.PodIP, s.Hostname)
	for file, content := range map[string]string{
		"/etc/hosts": hosts, "/etc/hostname": s.Hostname + "\n",
		"/etc/resolv.conf": s.ResolvConf,
	} {
		os.Remove(file) // it may be a link
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func bind(source *os.File, m mount) error {
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(m.Target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(m.Target), 0o755); err == nil {
		var file *os.File
		if file, err = os.OpenFile(m.Target, os.O_CREATE, 0o644); err == nil {
			file.Close()
		}
	}
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/proc/self/fd/%d", source.Fd())
	if err := syscall.Mount(path, m.Target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if m.ReadOnly {
		return syscall.Mount("", m.Target, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	}
	return nil
}

// otherMounts returns the outermost mount points besides the root itself.
func otherMounts(except string) ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var points []string
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] != "/" {
			points = append(points, fields[4])
		}
	}
	slices.Sort(points)
	var outermost []string
	for _, point := range points {
		if n := len(outermost); n > 0 && (point == outermost[n-1] || strings.HasPrefix(point, outermost[n-1]+"/")) {
			continue
		}
		if point == except || strings.Contains(point, `\`) { // names with spaces are written as \040
			continue
		}
		outermost = append(outermost, point)
	}
	return outermost, nil
}

// logWriter writes lines to a file with their time before them.
type logWriter struct {
	file *os.File
	pipe *io.PipeWriter
	done chan struct{}
}

func newLogWriter(path string) (*logWriter, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	reader, writer := io.Pipe()
	l := &logWriter{file: file, pipe: writer, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		lines := bufio.NewReader(reader)
		for {
			line, err := lines.ReadString('\n')
			if line != "" {
				stamp := time.Now().UTC().Format(time.RFC3339Nano)
				fmt.Fprintf(file, "%s %s\n", stamp, strings.TrimSuffix(line, "\n"))
			}
			if err != nil {
				reader.CloseWithError(err)
				return
			}
		}
	}()
	return l, nil
}

func (l *logWriter) Write(data []byte) (int, error) { return l.pipe.Write(data) }

func (l *logWriter) Close() error {
	l.pipe.Close()
	<-l.done
	return l.file.Close()
}
