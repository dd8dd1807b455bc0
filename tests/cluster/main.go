// SPDX-License-Identifier: Apache-2.0

// Command cluster is a Kubernetes cluster in one program, for tests.
//
// It starts a real control plane (etcd, kube-apiserver, kube-controller-manager)
// and one node whose Pods are ordinary local processes.  Everything lives in
// network, PID and mount namespaces which the program makes for itself: no
// container engine is needed, nothing is reachable from outside, and the kernel
// removes every process and interface when the first process ends.
//
// See README.md for how to use it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: cluster COMMAND [FLAGS] [-- PROGRAM ARG...]

  up       start a cluster and stay in the foreground until SIGINT or SIGTERM
  run      start a cluster, run PROGRAM inside it, stop the cluster, and exit
           with the status of PROGRAM
  exec     run PROGRAM in the network of a started cluster, KUBECONFIG set
  kubectl  run the built-in kubectl against a started cluster
  fault    do something to a started cluster: fault VERB [ARGUMENT]
             stop, start, pause, resume COMPONENT   (etcd, kube-apiserver, kube-controller-manager)
             compact                   let etcd forget the past
             cut NAMESPACE/SERVICE     reset all connections through a Service
             vanish NAMESPACE/SERVICE  drop them without a word to either side
             freeze NAMESPACE/SERVICE  keep them, and new ones, open and silent
             refuse NAMESPACE/SERVICE  reset them, and every new one
             mend NAMESPACE/SERVICE    end freeze and refuse
             renew-tokens              give every Pod a new service account token

flags of every command:
  --dir DIR          state, logs and kubeconfig (default $CLUSTER_DIR, else ./cluster-state)

flags of exec:
  --pod NAMESPACE/POD[/CONTAINER]  run PROGRAM in this container instead

flags of up and run:
  --images FILE      image map, see README.md
  --image NAME=PATH  run the executable PATH for the image NAME (repeatable)
  --apply PATH       manifest file or folder to apply before the cluster is
                     reported ready (repeatable)
  --v LEVEL          log level of the Kubernetes components (default 1)
`

// main dispatches on the first argument.  The commands after the blank line are
// not for users: the executable starts itself again for every other part that
// it plays, so that each part has its own process, log file and namespaces.
func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	var err error
	switch args := os.Args[2:]; os.Args[1] {
	case "up":
		err = up(args)
	case "run":
		err = run(args)
	case "exec":
		err = execInside(args)
	case "kubectl":
		err = kubectlInside(args)
	case "fault":
		err = fault(args)

	case "node":
		err = nodeMain(args)
	case "etcd":
		err = etcdMain(args)
	case "kube-apiserver", "kube-controller-manager", "kubectl-main":
		os.Exit(kubernetesMain(os.Args[1], args))
	case "container":
		err = containerMain()
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if exit, ok := err.(*exec.ExitError); ok {
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// options are the flags of up and run, handed on unchanged to the node process.
type options struct {
	dir    string
	images imageMap
	apply  []string
	level  int
	pod    string
	rest   []string
	held   *os.File // see lock
}

func parseOptions(name string, args []string) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	dir := os.Getenv("CLUSTER_DIR")
	if dir == "" {
		dir = "cluster-state"
	}
	fs.StringVar(&o.dir, "dir", dir, "")
	fs.Func("images", "", o.images.readFile)
	fs.Func("image", "", o.images.addPair)
	fs.Func("apply", "", func(s string) error { o.apply = append(o.apply, s); return nil })
	fs.IntVar(&o.level, "v", 1, "")
	fs.StringVar(&o.pod, "pod", "", "")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	o.rest = fs.Args()
	var err error
	o.dir, err = filepath.Abs(o.dir)
	return o, err
}

func (o *options) kubeconfig() string { return filepath.Join(o.dir, "kubeconfig") }
func (o *options) pidFile() string    { return filepath.Join(o.dir, "node.pid") }

// lock takes the folder for this process, for as long as it lives.
func (o *options) lock() error {
	file, err := os.OpenFile(filepath.Join(o.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	o.held = file
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// running tells whether a cluster has been started in the folder and is ready.
func (o *options) running() bool {
	if _, err := os.Stat(o.kubeconfig()); err != nil {
		return false
	}
	err := o.lock()
	if o.held != nil {
		o.held.Close()
	}
	return err == syscall.EWOULDBLOCK
}

func (o *options) logFile(part string) string {
	return filepath.Join(o.dir, "logs", part+".log")
}

// startNode starts the node process in new namespaces and waits until it says
// that the cluster is ready.
func startNode(o *options, args []string) (*exec.Cmd, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("must run as root: it makes network, mount and PID namespaces")
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, err
	}
	if err := o.lock(); err != nil {
		return nil, fmt.Errorf("another cluster uses %s (%w)", o.dir, err)
	}
	// Only what an earlier cluster left there is removed.
	for _, old := range []string{"etcd", "pki", "pods", "logs", "kubeconfig", "node.pid", "control.sock"} {
		if err := os.RemoveAll(filepath.Join(o.dir, old)); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Join(o.dir, "logs"), 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(o.logFile("node"))
	if err != nil {
		return nil, err
	}
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	node := exec.Command("/proc/self/exe", append([]string{"node"}, args...)...)
	node.Stdout, node.Stderr = log, log
	node.ExtraFiles = []*os.File{readyWrite}
	node.SysProcAttr = &syscall.SysProcAttr{
		// The node is process 1 of its own PID namespace: when it ends, for
		// whatever reason, the kernel kills everything it has started.
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // ^C at the terminal is for us; we stop the node in order
	}
	runtime.LockOSThread() // Pdeathsig fires when the starting thread ends
	if err := node.Start(); err != nil {
		return nil, err
	}
	readyWrite.Close()
	if err := os.WriteFile(o.pidFile(), fmt.Appendln(nil, node.Process.Pid), 0o644); err != nil {
		return nil, err
	}
	if n, _ := readyRead.Read(make([]byte, 1)); n == 0 { // closed without a word
		node.Wait()
		return nil, fmt.Errorf("the cluster did not start, see %s", o.logFile("node"))
	}
	return node, nil
}

// stopNode lets the node end its Pods properly, then removes the pid file.
func stopNode(o *options, node *exec.Cmd) {
	node.Process.Signal(syscall.SIGTERM)
	node.Wait()
	os.Remove(o.pidFile())
	os.Remove(o.kubeconfig())
}

func up(args []string) error {
	o, err := parseOptions("up", args)
	if err != nil {
		return err
	}
	began := time.Now()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	node, err := startNode(o, args)
	if err != nil {
		return err
	}
	fmt.Printf("cluster ready after %.1fs\nKUBECONFIG=%s\n", time.Since(began).Seconds(), o.kubeconfig())
	ended := make(chan error, 1)
	go func() { ended <- node.Wait() }()
	select {
	case <-stop:
		stopNode(o, node)
		return nil
	case err := <-ended:
		os.Remove(o.pidFile())
		return fmt.Errorf("the cluster ended by itself (%v), see %s", err, o.logFile("node"))
	}
}

func run(args []string) error {
	o, err := parseOptions("run", args)
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		return fmt.Errorf("run: no program given")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	node, err := startNode(o, args)
	if err != nil {
		return err
	}
	defer stopNode(o, node)
	program := exec.Command("/proc/self/exe", append([]string{"exec", "--dir", o.dir, "--"}, o.rest...)...)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := program.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals { // we end after the program has
			program.Process.Signal(s)
		}
	}()
	return program.Wait()
}

// execInside runs a program in the cluster's network or in a container.
func execInside(args []string) error {
	o, err := parseOptions("exec", args)
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		return fmt.Errorf("exec: no program given")
	}
	if o.pod != "" {
		return o.enterPod(o.rest)
	}
	return o.enter(o.rest)
}

// enterPod replaces this process by a program in a container.
func (o *options) enterPod(program []string) error {
	if err := o.awaitRunning(); err != nil {
		return err
	}
	node, err := readPID(o.pidFile())
	if err != nil {
		return err
	}
	inside, err := o.call("pid", o.pod)
	if err != nil {
		return err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	command := []string{nsenter, "--target", strconv.Itoa(node), "--pid", "--mount", "--"}
	command = append(command, enterContainer(strings.TrimSpace(inside), program)...)
	return syscall.Exec(nsenter, command, os.Environ())
}

// kubectlInside gives everything but a leading --dir to kubectl.
func kubectlInside(args []string) error {
	own := 0
	if len(args) > 1 && args[0] == "--dir" {
		own = 2
	} else if len(args) > 0 && strings.HasPrefix(args[0], "--dir=") {
		own = 1
	}
	o, err := parseOptions("kubectl", args[:own])
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return o.enter(append([]string{self, "kubectl-main"}, args[own:]...))
}

// awaitRunning waits for a cluster which is just starting.
func (o *options) awaitRunning() error {
	for deadline := time.Now().Add(2 * time.Minute); !o.running(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("no cluster in %s (start one with: cluster up --dir %s)", o.dir, o.dir)
		}
	}
	return nil
}

// enter replaces this process by a program in the cluster's network namespace.
func (o *options) enter(program []string) error {
	if err := o.awaitRunning(); err != nil {
		return err
	}
	pid, err := readPID(o.pidFile())
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the namespace is entered by this thread only
	if err := enterNetwork(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
		return err
	}
	path, err := exec.LookPath(program[0])
	if err != nil {
		return err
	}
	os.Setenv("KUBECONFIG", o.kubeconfig())
	os.Setenv("CLUSTER_DIR", o.dir)
	return syscall.Exec(path, program, os.Environ())
}

func readPID(file string) (pid int, err error) {
	data, err := os.ReadFile(file)
	if err == nil {
		_, err = fmt.Sscan(string(data), &pid)
	}
	return pid, err
}
