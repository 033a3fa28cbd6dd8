package oncegate

func child(role string) int { return 1 }
