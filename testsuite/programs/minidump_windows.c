/* Writes a minidump of itself from an exception filter, as crash reporters do: `windows.dmp`. */
#include <windows.h>
#include <dbghelp.h>
static LONG WINAPI filter(EXCEPTION_POINTERS *pointers) {
    MINIDUMP_EXCEPTION_INFORMATION information = {GetCurrentThreadId(), pointers, FALSE};
    HANDLE file = CreateFileA("crash.dmp", GENERIC_WRITE, 0, 0, CREATE_ALWAYS, 0, 0);
    MiniDumpWriteDump(GetCurrentProcess(), GetCurrentProcessId(), file, MiniDumpNormal, &information, 0, 0);
    CloseHandle(file);
    ExitProcess(3);
}
static DWORD WINAPI sleeps(void *argument) { Sleep(INFINITE); return 0; }
__attribute__((noinline)) void crash(volatile int *address) { *address = 1; }
int main(void) {
    CreateThread(0, 0, sleeps, 0, 0, 0);
    Sleep(50);
    SetUnhandledExceptionFilter(filter);
    crash((int *)0x1234);
    return 0;
}
