// What code that a new g++ compiles wants of libstdc++ and glibc, and older ones lack: linked into the tarball's worker.
#include <cstdlib>
#include <sstream>

// GLIBCXX_3.4.26 and 3.4.29: templates, whose code the headers have.
template std::ostringstream::basic_ostringstream();
template std::string std::stringbuf::str() const&;

// GLIBCXX_3.4.29.
namespace std {
[[noreturn]] void __throw_bad_array_new_length() { std::abort(); }
}

// CXXABI_1.3.13: older ones count the same where an exception_ptr is copied, and where it ends. Hidden, so that they do not find
// these.
extern "C" {
void copy_exception_ptr(void* to, const void* from) asm("_ZNSt15__exception_ptr13exception_ptrC1ERKS0_");
void end_exception_ptr(void* of) asm("_ZNSt15__exception_ptr13exception_ptrD1Ev");
[[gnu::visibility("hidden")]] void count_up(const void* of) asm("_ZNSt15__exception_ptr13exception_ptr9_M_addrefEv");
[[gnu::visibility("hidden")]] void count_down(void* of) asm("_ZNSt15__exception_ptr13exception_ptr10_M_releaseEv");
void count_up(const void* of) {
    void* another;
    copy_exception_ptr(&another, of);
}
void count_down(void* of) { end_exception_ptr(of); }
}

// GLIBC_2.32: whether the process has one thread alone, so that counters need not be atomic. It has many.
extern "C" {
char __libc_single_threaded = 0;
}
