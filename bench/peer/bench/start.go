package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// waitForStart measures from the time that stands in file (seconds since the epoch; it may come later than this program) until the API
// is ready and until a node is. It is up before the servers are, so that its own start is not measured.
func waitForStart(file string) {
	every := func(pause time.Duration, done func() bool) {
		for !done() {
			time.Sleep(pause)
		}
	}
	var since float64
	every(time.Millisecond, func() bool {
		text, _ := os.ReadFile(file)
		var err error
		since, err = strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
		return err == nil
	})
	elapsed := func() float64 { return round(float64(time.Now().UnixNano())/1e9 - since) }
	phase("start", func(r result) {
		// Anybody may ask for this, so it takes no kubeconfig, which the server may not have written yet.
		anonymous := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		every(time.Millisecond, func() bool {
			answer, err := anonymous.Get(*readyz)
			if err != nil {
				return false
			}
			defer answer.Body.Close()
			_, _ = io.Copy(io.Discard, answer.Body)
			return answer.StatusCode == http.StatusOK
		})
		r["readyz_s"] = elapsed()
		every(time.Millisecond, func() bool {
			text, err := os.ReadFile(*kubeconfig)
			return err == nil && strings.Contains(string(text), "current-context")
		})
		c := client()
		every(2*time.Millisecond, func() bool {
			l, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
			if err != nil {
				return false
			}
			for _, n := range l.Items {
				for _, x := range n.Status.Conditions {
					if x.Type == v1.NodeReady && x.Status == v1.ConditionTrue {
						return true
					}
				}
			}
			return false
		})
		r["node_ready_s"] = elapsed()
	})
}
