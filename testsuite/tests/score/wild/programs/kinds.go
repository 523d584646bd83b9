// Switches on integers, strings and types, interfaces, closures, generics, goroutines, panics and formatted output.
package main

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
)

type Shape interface {
	Area() float64
	Name() string
}

type Circle struct{ radius float64 }
type Square struct{ side float64 }

func (c Circle) Area() float64  { return 3.14 * c.radius * c.radius }
func (c Circle) Name() string   { return "circle" }
func (s *Square) Area() float64 { return s.side * s.side }
func (s *Square) Name() string  { return "square" }

type Number interface{ ~int | ~float64 }

//go:noinline
func Sum[T Number](numbers []T) T {
	var total T
	for _, number := range numbers {
		total += number
	}
	return total
}

//go:noinline
func day(number int) string {
	switch number {
	case 0:
		return "Sunday"
	case 1:
		return "Monday"
	case 2:
		return "Tuesday"
	case 3:
		return "Wednesday"
	case 4:
		return "Thursday"
	case 5:
		return "Friday"
	case 6:
		return "Saturday"
	case 7, 8, 9:
		return fmt.Sprintf("day %d", number)
	}
	panic("no such day")
}

//go:noinline
func keyword(word string) int {
	switch word {
	case "if":
		return 1
	case "else":
		return 2
	case "for":
		return 3
	case "while":
		return 4
	case "return":
		return 5
	case "switch":
		return 6
	case "default":
		return 7
	case "package":
		return 8
	case "interface":
		return 9
	}
	return 0
}

//go:noinline
func describe(value any) string {
	switch value := value.(type) {
	case nil:
		return "nothing"
	case int:
		return fmt.Sprint("int ", value)
	case string:
		return "string " + value
	case []int:
		return fmt.Sprintf("%d numbers", len(value))
	case error:
		return "error " + value.Error()
	case Shape:
		return fmt.Sprintf("%s of %.2f", value.Name(), value.Area())
	}
	return "?"
}

//go:noinline
func counter(step int) func() int {
	count := 0
	return func() int { count += step; return count }
}

//go:noinline
func guarded(number int) (text string, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("recovered: %v", reason)
		}
	}()
	return day(number), nil
}

func main() {
	next := counter(len(os.Args))
	shapes := []Shape{Circle{1.5}, &Square{2}}
	sort.Slice(shapes, func(i, j int) bool { return shapes[i].Area() < shapes[j].Area() })
	var group sync.WaitGroup
	results := make(chan string, 4)
	for index := 0; index < 4; index++ {
		group.Add(1)
		go func(index int) {
			defer group.Done()
			results <- strings.Repeat(day(index), index)
		}(index)
	}
	group.Wait()
	close(results)
	for result := range results {
		fmt.Println(result, next())
	}
	fmt.Println(Sum([]int{1, 2, 3}), Sum([]float64{1.5, 2.5}), keyword(os.Args[0]))
	for _, value := range []any{nil, 1, "two", []int{3}, errors.New("four"), shapes[0]} {
		fmt.Println(describe(value))
	}
	fmt.Println(guarded(next() + 40))
}
