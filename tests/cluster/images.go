// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// image says which local files stand for a container image.
type image struct {
	// Name is matched with the end of the image reference, tag and digest left
	// out: "conformance/echo-basic" stands for it on any registry.
	Name string `json:"name"`
	// Entrypoint is an executable, in Root, on this machine or in Files, and its first arguments.
	Entrypoint []string `json:"entrypoint"`
	// Root is a folder of this machine with all that the image has in it; without, the machine's own root is seen.
	Root string `json:"root,omitempty"`
	// Files are paths inside the container and the files or folders of this
	// machine which are seen there (read-only).
	Files map[string]string `json:"files,omitempty"`
	// Env are the image's own environment variables.
	Env map[string]string `json:"env,omitempty"`
	// User is who runs, as user and group, if the Pod does not say; root by default.
	User int `json:"user,omitempty"`
}

type imageMap struct{ images []image }

// readFile adds the images of a YAML file.  $VARIABLES in it are replaced from
// the environment; relative paths are meant from the working directory.
func (m *imageMap) readFile(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	unset := ""
	text := os.Expand(string(data), func(name string) string {
		value, ok := os.LookupEnv(name)
		if !ok {
			unset = name
		}
		return value
	})
	if unset != "" {
		return fmt.Errorf("%s: variable %s is not set", file, unset)
	}
	var content struct {
		Images []image `json:"images"`
	}
	if err := yaml.UnmarshalStrict([]byte(text), &content); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, i := range content.Images {
		if err := m.add(i); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// addPair adds an image given as NAME=PATH.
func (m *imageMap) addPair(pair string) error {
	name, path, ok := strings.Cut(pair, "=")
	if !ok {
		return fmt.Errorf("want NAME=PATH")
	}
	return m.add(image{Name: name, Entrypoint: []string{path}})
}

func (m *imageMap) add(i image) (err error) {
	if i.Name == "" || len(i.Entrypoint) == 0 {
		return fmt.Errorf("an image needs a name and an entrypoint")
	}
	if i.Entrypoint[0], err = filepath.Abs(i.Entrypoint[0]); err != nil {
		return err
	}
	if i.Root != "" {
		if i.Root, err = filepath.Abs(i.Root); err != nil {
			return err
		}
	}
	for inside, outside := range i.Files {
		if i.Files[inside], err = filepath.Abs(outside); err != nil {
			return err
		}
	}
	m.images = append(m.images, i)
	return nil
}

// find returns the image with the longest name that fits the reference.
func (m *imageMap) find(reference string) (image, error) {
	repository, _, _ := strings.Cut(reference, "@")
	if colon := strings.LastIndex(repository, ":"); colon > strings.LastIndex(repository, "/") {
		repository = repository[:colon]
	}
	var best image
	for _, i := range m.images {
		if (repository == i.Name || strings.HasSuffix(repository, "/"+i.Name)) && len(i.Name) > len(best.Name) {
			best = i
		}
	}
	if best.Name == "" {
		return best, fmt.Errorf("no local executable is given for image %q", reference)
	}
	executable := filepath.Join("/", best.Root, best.Entrypoint[0])
	if outside, ok := best.Files[best.Entrypoint[0]]; ok {
		executable = outside
	}
	_, err := os.Stat(executable)
	return best, err
}
