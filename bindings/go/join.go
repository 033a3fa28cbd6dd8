package oncegate

import "context"

func (e *Engine) join(ctx context.Context, request *Request, how *beginHow) (Admission, error) {
	return e.begin(request, how.raw())
}
