// etcdload puts the same load on etcd as crates/control-plane/store/examples/load.rs puts on the store: objects of a kilobyte
// are created and changed by many writers, each change on condition of the revision that it was made from, and read in pages.
// One JSON line for each phase; CPU and memory are those of the server alone.
//
//	etcdload -endpoint http://127.0.0.1:2379 -pid N
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

var (
	endpoint = flag.String("endpoint", "http://127.0.0.1:2379", "")
	pid      = flag.Int("pid", 0, "the server's process")
	writers  = flag.Int("writers", 64, "")
	objects  = flag.Int("objects", 20000, "")
	rounds   = flag.Int("rounds", 20, "how often everything is read")
	page     = flag.Int64("page", 500, "objects of a range")
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcdload:", err)
		os.Exit(1)
	}
}

func usage() (cpu, rss float64) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", *pid))
	must(err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	pages, _ := strconv.ParseFloat(fields[21], 64)
	return (user + system) / 100, pages * float64(os.Getpagesize()) / (1 << 20)
}

func phase(name string, count int, work func()) {
	before, _ := usage()
	start := time.Now()
	work()
	wall := time.Since(start).Seconds()
	cpu, rss := usage()
	line, _ := json.Marshal(map[string]any{"label": "upstream", "phase": name, "wall_s": wall, "per_s": float64(count) / wall,
		"cpu_us_each": (cpu - before) * 1e6 / float64(count), "rss_mb": rss})
	fmt.Println(string(line))
}

func each(clients []*clientv3.Client, count int, work func(c *clientv3.Client, i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range *writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
				work(clients[w%len(clients)], i)
			}
		}()
	}
	wg.Wait()
}

func main() {
	flag.Parse()
	ctx := context.Background()
	clients := make([]*clientv3.Client, 8)
	for i := range clients {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{*endpoint}, DialTimeout: 5 * time.Second})
		must(err)
		clients[i] = c
	}
	const prefix = "/load/default/"
	key := func(i int) string { return fmt.Sprintf("%sobject-%06d", prefix, i) }
	value := func(i, version int) string {
		return fmt.Sprintf(`{"metadata":{"name":"object-%06d"},"data":"%d %s"}`, i, version, strings.Repeat("x", 1000))
	}
	revisions := make([]int64, *objects)
	put := func(version int) func(*clientv3.Client, int) {
		return func(c *clientv3.Client, i int) {
			made := clientv3.Compare(clientv3.ModRevision(key(i)), "=", revisions[i])
			answer, err := c.Txn(ctx).If(made).Then(clientv3.OpPut(key(i), value(i, version))).Commit()
			must(err)
			if !answer.Succeeded {
				must(fmt.Errorf("%s was changed by somebody else", key(i)))
			}
			revisions[i] = answer.Header.Revision
		}
	}
	phase("store-create", *objects, func() { each(clients, *objects, put(1)) })
	phase("store-update", *objects, func() { each(clients, *objects, put(2)) })
	pages := (*objects + int(*page) - 1) / int(*page)
	phase("store-range", pages**rounds, func() {
		each(clients, *rounds, func(c *clientv3.Client, _ int) {
			read, from := 0, prefix
			for {
				answer, err := c.Get(ctx, from, clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithLimit(*page))
				must(err)
				read += len(answer.Kvs)
				if !answer.More {
					break
				}
				from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
			}
			if read != *objects {
				must(fmt.Errorf("%d of %d objects were read", read, *objects))
			}
		})
	})
}
