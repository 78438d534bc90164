// Judges a sealed log with the code that checks Go's go.sum database: golang.org/x/mod/sumdb, from Debian's
// golang-golang-x-mod-dev.
//
//	referee FOLDER
//
// FOLDER has: vkey, checkpoint, old (an earlier checkpoint), consistency (hashes in base64), tile/… (C2SP tlog-tiles), and for some
// leaves N.entry and N.tlog-proof. Prints what it has accepted; anything that it does not accept ends it with an error.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var folder string

func read(name string) []byte {
	data, err := os.ReadFile(filepath.Join(folder, name))
	check(name, err)
	return data
}

func check(what string, err error) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

// refused ends the program if something wrong was accepted.
func refused(what string, err error) {
	if err == nil {
		log.Fatalf("%s was accepted", what)
	}
}

// open returns the tree of a signed checkpoint.
func open(msg []byte, verifiers note.Verifiers) (tlog.Tree, error) {
	signed, err := note.Open(msg, verifiers)
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != signed.Sigs[0].Name {
		return tlog.Tree{}, fmt.Errorf("no checkpoint: %q", signed.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

// tiles reads tiles by their C2SP paths: Go's have the height in addition.
type tiles struct{ flip bool }

func (tiles) Height() int                       { return 8 }
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(folder, strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		if t.flip {
			data[7] ^= 1
		}
		all = append(all, data)
	}
	return all, nil
}

func hashes(lines []string) []tlog.Hash {
	var all []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		check("a hash", err)
		all = append(all, hash)
	}
	return all
}

func main() {
	log.SetFlags(0)
	folder = os.Args[1]
	verifier, err := note.NewVerifier(strings.TrimSpace(string(read("vkey"))))
	check("the public key", err)
	verifiers := note.VerifierList(verifier)

	msg := read("checkpoint")
	tree, err := open(msg, verifiers)
	check("the checkpoint", err)
	_, err = open(bytes.Replace(msg, []byte(fmt.Sprint(tree.N)), []byte(fmt.Sprint(tree.N+1)), 1), verifiers)
	refused("a checkpoint of another size", err)
	fmt.Println("checkpoint of", tree.N)

	old, err := open(read("old"), verifiers)
	check("the earlier checkpoint", err)
	proof := tlog.TreeProof(hashes(strings.Fields(string(read("consistency")))))
	check("the consistency proof", tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
	refused("a tree that is no prefix", tlog.CheckTree(proof, tree.N, tree.Hash, old.N, tree.Hash))
	reader := tlog.TileHashReader(tree, tiles{})
	own, err := tlog.ProveTree(tree.N, old.N, reader)
	check("Go's own consistency proof", err)
	check("Go's own consistency proof", tlog.CheckTree(own, tree.N, tree.Hash, old.N, old.Hash))
	fmt.Println("consistency with", old.N)

	root, err := tlog.TreeHash(tree.N, reader)
	check("the tiles", err)
	if root != tree.Hash {
		log.Fatal("the tiles have another root")
	}
	_, err = tlog.TreeHash(tree.N, tlog.TileHashReader(tree, tiles{flip: true}))
	refused("a changed tile", err)
	fmt.Println("tiles")

	entries, err := filepath.Glob(filepath.Join(folder, "*.entry"))
	check("the entries", err)
	for _, path := range entries {
		name := strings.TrimSuffix(filepath.Base(path), ".entry")
		index, err := strconv.ParseInt(name, 10, 64)
		check("the name of an entry", err)
		entry := tlog.RecordHash(read(name + ".entry"))
		head, msg, _ := strings.Cut(string(read(name+".tlog-proof")), "\n\n")
		lines := strings.Split(head, "\n")
		if lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") || lines[2] != "index "+name {
			log.Fatalf("no proof: %q", head)
		}
		proven, err := open([]byte(msg), verifiers)
		check("the checkpoint of a proof", err)
		path := tlog.RecordProof(hashes(lines[3:]))
		check("a proof", tlog.CheckRecord(path, proven.N, proven.Hash, index, entry))
		refused("a proof of another entry", tlog.CheckRecord(path, proven.N, proven.Hash, index, tlog.RecordHash([]byte("x"))))
		refused("a proof of another leaf", tlog.CheckRecord(path, proven.N, proven.Hash, index^1, entry))
		own, err := tlog.ProveRecord(tree.N, index, reader)
		check("Go's own proof", err)
		check("Go's own proof", tlog.CheckRecord(own, tree.N, tree.Hash, index, entry))
		fmt.Println("proof of", index)
	}
}
