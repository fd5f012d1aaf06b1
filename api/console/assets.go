package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
)

//go:embed assets/*
var assetFiles embed.FS

// assets are the files that pages refer to. Their addresses change with their content, so browsers may keep them.
type assets struct {
	files map[string][]byte
	paths map[string]string // for templates: "console.css" → "/console/assets/console.css?v=…"
}

func loadAssets() (assets, error) {
	a := assets{files: map[string][]byte{}, paths: map[string]string{}}
	all, err := fs.Glob(assetFiles, "assets/*")
	if err != nil {
		return a, fmt.Errorf("find the assets: %w", err)
	}
	for _, file := range all {
		b, err := assetFiles.ReadFile(file)
		if err != nil {
			return a, fmt.Errorf("read %s: %w", file, err)
		}
		name, sum := path.Base(file), sha256.Sum256(b)
		a.files[name] = b
		a.paths[name] = Base + "assets/" + name + "?v=" + hex.EncodeToString(sum[:6])
	}
	return a, nil
}

func (a assets) serve(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	b, ok := a.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	if r.URL.RawQuery != "" {
		w.Header().Set("Cache-Control", "max-age=31536000, immutable")
	}
	_, _ = w.Write(b) // a browser that is gone needs no file
}
