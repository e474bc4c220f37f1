// Fills `refused` and `printed` of go_template_cases.jsonl anew with what Go's own text/template does:
//
//	go run go_template_cases.go < go_template_cases.jsonl > new && mv new go_template_cases.jsonl
package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"text/template"
)

type message struct{ Role, Content string }

type templateCase struct {
	Template string     `json:"template"`
	System   string     `json:"system"`
	Messages []*message `json:"messages"`
	Refused  bool       `json:"refused"`
	Printed  string     `json:"printed"`
}

func (c *templateCase) render() (string, error) {
	// The options and the data are those with which Ollama runs a TEMPLATE.
	parsed, err := template.New("").Option("missingkey=zero").Parse(c.Template)
	if err != nil {
		return "", err
	}
	var printed strings.Builder
	err = parsed.Execute(&printed, map[string]any{"System": c.System, "Messages": c.Messages})
	return printed.String(), err
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for {
		var c templateCase
		if err := in.Decode(&c); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			panic(err)
		}
		printed, err := c.render()
		if c.Refused = err != nil; c.Refused {
			printed = ""
		}
		c.Printed = printed
		if err := out.Encode(c); err != nil {
			panic(err)
		}
	}
}
