package gateway

// A heap is a binary min-heap whose items know their place, so that any can be removed.
type heap[T any] struct {
	items []T
	less  func(a, b T) bool
	slot  func(T) *int32 // where the item keeps its place; -1: not in the heap
}

func (h *heap[T]) push(v T) {
	h.items = append(h.items, v)
	*h.slot(v) = int32(len(h.items) - 1)
	h.up(len(h.items) - 1)
}

func (h *heap[T]) pop() T {
	v := h.items[0]
	h.remove(v)
	return v
}

// remove takes v out if it is in.
func (h *heap[T]) remove(v T) {
	i, last := int(*h.slot(v)), len(h.items)-1
	if i < 0 {
		return
	}
	h.swap(i, last)
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
	*h.slot(v) = -1
	if i < last {
		h.down(i)
		h.up(i)
	}
}

func (h *heap[T]) swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	*h.slot(h.items[i]), *h.slot(h.items[j]) = int32(i), int32(j)
}

func (h *heap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(h.items[i], h.items[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *heap[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return
		}
		if child+1 < len(h.items) && h.less(h.items[child+1], h.items[child]) {
			child++
		}
		if !h.less(h.items[child], h.items[i]) {
			return
		}
		h.swap(i, child)
		i = child
	}
}
