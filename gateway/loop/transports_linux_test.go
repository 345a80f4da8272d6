package loop

var allTransports = []Transport{Auto, Epoll, Goroutine}
