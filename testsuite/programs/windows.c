// A Windows library with a little of everything that linkers make tables of. It needs no C library.

__declspec(dllimport) void Sleep(unsigned milliseconds);

__declspec(dllexport) int value = 3;
int *const address = &value;

static void on_thread(void *module, unsigned reason, void *reserved)
{
    (void)module, (void)reserved;
    value += (int)reason;
}

// What linkers take for the directory of thread-local storage: its data, its index, its callbacks.
static unsigned thread_index;
static void (*const callbacks[])(void *, unsigned, void *) = { on_thread, 0 };
const struct {
    const void *start, *end;
    unsigned *index;
    const void *callbacks;
    unsigned zeros, characteristics;
} _tls_used = { &address, &address + 1, &thread_index, callbacks, 0, 0 };

// A tree of resources, with one leaf: of type 10, name 1, language 0x409.
__attribute__((section(".rsrc"), used)) static const unsigned resources[] = {
    0, 0, 0, 0x10000, 10, 0x80000018,
    0, 0, 0, 0x10000, 1, 0x80000030,
    0, 0, 0, 0x10000, 0x409, 0x48,
    0x1000, 16, 0, 0,
};

__declspec(dllexport) int entry(int count)
{
    for (int i = 0; i < count; i++)
        Sleep(*address);
    return value;
}
