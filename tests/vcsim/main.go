// vcsim for the tests: VMware's own simulator (govmomi, package simulator) behind a handler that looks at what passes.
//
// Ours are only this file's lines: flags, and a look at uploads by NFC, since the simulator throws their bytes away. For each it prints
//
//	NFC METHOD CONTENT-TYPE CONTENT-LENGTH SHA256-OF-THE-BODY BYTES-THAT-CAME HOST COOKIES
//
// Files in the directory -faults make it fail: "nfc" holds a number of bytes after which an upload's connection is closed;
// "nfc-status" the status that an upload is answered with; "refuse" the name of a SOAP method that is answered with NoPermission, or with the fault that stands after it;
// "hide" the name of a file of a datastore that is said not to be there; "act" what somebody does to a machine behind provbuild's back, one line each (see act);
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
	"regexp"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
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

const refusal = `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>The simulator was told to refuse.</faultstring><detail><FAULTFault xmlns="urn:vim25" xsi:type="FAULT"/></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`

// A file that is said not to be there.
func hidden(r *http.Request) bool {
	name, err := os.ReadFile(filepath.Join(*faults, "hide"))
	if err != nil || !strings.HasSuffix(r.URL.Path, "/"+strings.TrimSpace(string(name))) {
		return false
	}
	return fault("hide") != ""
}

func machine(name string) *simulator.VirtualMachine {
	for _, entity := range simulator.Map.All("VirtualMachine") {
		if vm, ok := entity.(*simulator.VirtualMachine); ok && vm.Name == name {
			return vm
		}
	}
	return nil
}

// WHAT|NAME, or WHAT|NAME|MORE.
func act(words []string) {
	if len(words) < 2 {
		return
	}
	vm := machine(words[1])
	if vm == nil {
		log.Fatalf("no machine %s", words[1])
	}
	switch words[0] {
	case "suspend":
		vm.Runtime.PowerState = types.VirtualMachinePowerStateSuspended
		vm.Summary.Runtime.PowerState = vm.Runtime.PowerState
	case "snapshot":
		vm.Snapshot = &types.VirtualMachineSnapshotInfo{}
	case "no-snapshot":
		vm.Snapshot = nil
	case "unmark":
		vm.Config.ExtraConfig = nil
	case "twin":
		// MORE becomes what a restored backup of the machine is.
		other := machine(words[2])
		other.Config.Uuid = vm.Config.Uuid
		other.Config.ExtraConfig = vm.Config.ExtraConfig
	case "no-twin":
		vm.Config.Uuid = "00000000-0000-0000-0000-000000000000"
	case "disk":
		// MORE is a file.
		backing := types.VirtualDiskFlatVer2BackingInfo{}
		backing.FileName = words[2]
		disk := types.VirtualDisk{}
		disk.Key, disk.ControllerKey, disk.UnitNumber, disk.Backing = 2009, 1000, new(int32), &backing
		*disk.UnitNumber = 9
		vm.Config.Hardware.Device = append(vm.Config.Hardware.Device, &disk)
	case "no-disk":
		devices := vm.Config.Hardware.Device
		for i, device := range devices {
			if device.GetVirtualDevice().Key == 2009 {
				vm.Config.Hardware.Device = append(devices[:i:i], devices[i+1:]...)
				break
			}
		}
	default:
		log.Fatalf("no action %s", words[0])
	}
}

// The simulator has FindByUuid only, which gives one of several.
var uuids = regexp.MustCompile(`<FindAllByUuid .*<uuid>([^<]*)</uuid>`)

func findAllByUuid(uuid string) string {
	found := ""
	for _, entity := range simulator.Map.All("VirtualMachine") {
		if vm, ok := entity.(*simulator.VirtualMachine); ok && strings.EqualFold(vm.Config.Uuid, uuid) {
			found += `<returnval type="VirtualMachine">` + vm.Self.Value + `</returnval>`
		}
	}
	return `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><FindAllByUuidResponse xmlns="urn:vim25">` + found + `</FindAllByUuidResponse></soapenv:Body></soapenv:Envelope>`
}

func soap(next http.Handler, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if text, err := os.ReadFile(filepath.Join(*faults, "refuse")); err == nil {
		words := append(strings.Fields(string(text)), "NoPermission")
		if bytes.Contains(body, []byte("<"+words[0]+" ")) {
			os.Remove(filepath.Join(*faults, "refuse"))
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, strings.ReplaceAll(refusal, "FAULT", words[1]))
			return
		}
	}
	for _, line := range strings.Split(fault("act"), "\n") {
		act(strings.Split(line, "|"))
	}
	if found := uuids.FindSubmatch(body); found != nil {
		io.WriteString(w, findAllByUuid(string(found[1])))
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
		case hidden(r):
			http.NotFound(w, r)
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
