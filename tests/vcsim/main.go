// vcsim for the tests: VMware's own simulator (govmomi, package simulator) behind a handler that looks at what passes.
//
// Ours are only this file's lines: flags, and a look at uploads by NFC, since the simulator throws their bytes away. For each it prints
//
//	NFC METHOD CONTENT-TYPE CONTENT-LENGTH SHA256-OF-THE-BODY BYTES-THAT-CAME HOST COOKIES
//
// Files in the directory -faults make it fail: "nfc" holds a number of bytes after which an upload's connection is closed;
// "nfc-status" the status that an upload is answered with; "refuse" the name of a SOAP method that is answered with NoPermission;
// "nfc-host" the host and the thumbprint that a lease names; "address" holds a MAC and the address that the guest's tools tell for it; "logout" ends all sessions once, as a restart of vCenter does. Each fault is used up by its first use.
package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
)

var faults = flag.String("faults", "", "directory of faults")

func fault(name string) string {
	file := filepath.Join(*faults, name)
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	os.Remove(file)
	return strings.TrimSpace(string(text))
}

func nfc(next http.Handler, w http.ResponseWriter, r *http.Request) {
	if status, err := strconv.Atoi(fault("nfc-status")); err == nil {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		return
	}
	hash := sha256.New()
	body := io.Reader(r.Body)
	limit, err := strconv.ParseInt(fault("nfc"), 10, 64)
	if err == nil {
		body = io.LimitReader(body, limit)
	}
	count := int64(0)
	counted := io.TeeReader(body, writer(func(part []byte) {
		hash.Write(part)
		count += int64(len(part))
	}))
	if err == nil {
		io.Copy(io.Discard, counted)
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(counted)
	next.ServeHTTP(w, r)
	fmt.Printf("NFC %s %s %d %s %d %s %d\n", r.Method, r.Header.Get("Content-Type"), r.ContentLength, hex.EncodeToString(hash.Sum(nil)), count, r.Host, len(r.Cookies()))
}

type writer func([]byte)

func (w writer) Write(part []byte) (int, error) {
	w(part)
	return len(part), nil
}

const refusal = `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>Permission to perform this operation was denied.</faultstring><detail><NoPermissionFault xmlns="urn:vim25" xsi:type="NoPermission"/></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`

func soap(next http.Handler, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if method, err := os.ReadFile(filepath.Join(*faults, "refuse")); err == nil && bytes.Contains(body, append([]byte("<"), append(bytes.TrimSpace(method), ' ')...)) {
		os.Remove(filepath.Join(*faults, "refuse"))
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, refusal)
		return
	}
	if words := strings.Fields(fault("address")); len(words) == 2 {
		for _, entity := range simulator.Map.All("VirtualMachine") {
			if vm, ok := entity.(*simulator.VirtualMachine); ok {
				for i := range vm.Guest.Net {
					if vm.Guest.Net[i].MacAddress == words[0] {
						vm.Guest.Net[i].IpAddress = []string{"fe80::1", words[1]}
					}
				}
			}
		}
	}
	if fault("logout") != "" {
		// The simulator knows the session by its cookie only.
		r.Header.Del("Cookie")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	words := []string{}
	if bytes.Contains(body, []byte("<pathSet>info</pathSet>")) {
		words = strings.Fields(fault("nfc-host"))
	}
	if len(words) == 0 {
		next.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	text := strings.Replace(answer.Body.String(), "https://*/", "https://"+words[0]+"/", 1)
	if len(words) > 1 {
		text = strings.Replace(text, "<sslThumbprint></sslThumbprint>", "<sslThumbprint>"+words[1]+"</sslThumbprint>", 1)
	}
	w.WriteHeader(answer.Code)
	io.WriteString(w, text)
}

func main() {
	listen := flag.String("l", "127.0.0.1:0", "address")
	esx := flag.Bool("esx", false, "a single host")
	cert := flag.String("cert", "", "certificate (PEM)")
	key := flag.String("key", "", "its key (PEM)")
	flag.Parse()
	model := simulator.VPX()
	if *esx {
		model = simulator.ESX()
	}
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword("user", "pass:word")}
	model.Service.TLS = new(tls.Config)
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		model.Service.TLS.Certificates = []tls.Certificate{pair}
	}
	server := model.Service.NewServer()
	next := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/nfc/"):
			nfc(next, w, r)
		case r.URL.Path == "/sdk":
			soap(next, w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
	for _, entity := range simulator.Map.All("Datastore") {
		if ds, ok := entity.(*simulator.Datastore); ok {
			fmt.Printf("DATASTORE %s %s\n", ds.Name, ds.Info.GetDatastoreInfo().Url)
		}
	}
	fmt.Printf("URL https://%s/sdk\n", server.URL.Host)
	// It ends with whoever started it.
	io.Copy(io.Discard, os.Stdin)
}
