// Preloaded into a server by tests/chaos: lies about the rate of its clocks, delays its reads, and
// delays or fails its writes and syncs. What to do stands in a control file that the test changes
// while the server runs.
//
//   HOLDFAST_CHAOS_CONTROL  the control file: one Control, as tests/chaos/shim.py packs it
//   HOLDFAST_CHAOS_FOLDER   only files below this folder have a bad disk
//   HOLDFAST_CHAOS_THREADS  so many threads can be begun, and no more; apart from the control file
//
// CLOCK_MONOTONIC and CLOCK_BOOTTIME run at the given rate, and timers set for a length of time are
// stretched to match; the wall clock is left alone. Without a control file nothing changes.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

struct Control {
  std::atomic<double> clock_rate;
  std::atomic<int64_t> write_delay_us;
  std::atomic<int64_t> sync_delay_us;
  std::atomic<int32_t> write_errno;  ///< of writes and allocations; 0: none
  std::atomic<int32_t> sync_errno;
  std::atomic<int64_t> read_delay_us;
};
static_assert(sizeof(Control) == 40);

constexpr int64_t kSecond = 1'000'000'000;

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

const Control* map_control() {
  const char* path = std::getenv("HOLDFAST_CHAOS_CONTROL");
  if (path == nullptr) return nullptr;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* mapped = mmap(nullptr, sizeof(Control), PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  return mapped == MAP_FAILED ? nullptr : static_cast<const Control*>(mapped);
}

const Control* control() {
  static const Control* const kControl = map_control();
  return kControl;
}

/// Is the file below the folder whose disk is bad?
bool concerns(int fd) {
  static const char* const kFolder = std::getenv("HOLDFAST_CHAOS_FOLDER");
  if (control() == nullptr || kFolder == nullptr) return false;
  char link[32] = "/proc/self/fd/";
  char* digit = link + sizeof(link) - 1;
  *digit = 0;
  for (int left = fd; digit == link + sizeof(link) - 1 || left > 0; left /= 10) {
    *--digit = static_cast<char>('0' + left % 10);
  }
  std::memmove(link + 14, digit, std::strlen(digit) + 1);
  char target[4096];
  const ssize_t size = readlink(link, target, sizeof(target));
  const size_t prefix = std::strlen(kFolder);
  return size > static_cast<ssize_t>(prefix) && std::memcmp(target, kFolder, prefix) == 0;
}

void wait_us(int64_t us) {
  if (us <= 0) return;
  const timespec length{us / 1'000'000, us % 1'000'000 * 1000};
  ppoll(nullptr, 0, &length, nullptr);
}

/// Delays; then true with errno set if the call is to fail.
bool spoil(int fd, std::atomic<int64_t> Control::*delay, std::atomic<int32_t> Control::*fault) {
  if (!concerns(fd)) return false;
  wait_us((control()->*delay).load());
  const int code = (control()->*fault).load();
  if (code != 0) errno = code;
  return code != 0;
}

/// One clock that changes its rate and never jumps.
class Clock {
 public:
  int64_t scaled(int64_t real, double rate) {
    while (busy_.test_and_set(std::memory_order_acquire)) {
    }
    if (real_ == 0) real_ = shown_ = real;
    // Another thread may have read the clock later and come here first.
    if (real > real_) {
      shown_ += static_cast<int64_t>(static_cast<double>(real - real_) * rate);
      real_ = real;
    }
    const int64_t shown = shown_;
    busy_.clear(std::memory_order_release);
    return shown;
  }

 private:
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  int64_t real_ = 0, shown_ = 0;
};

double rate() { return control() == nullptr ? 1.0 : control()->clock_rate.load(); }

timespec divided(const timespec& length, double by) {
  const auto ns = static_cast<double>(length.tv_sec * kSecond + length.tv_nsec) / by;
  const auto whole = static_cast<int64_t>(ns);
  return {whole / kSecond, whole % kSecond};
}

int64_t threads_allowed() {
  const char* allowed = std::getenv("HOLDFAST_CHAOS_THREADS");
  return allowed == nullptr ? INT64_MAX : std::atoll(allowed);
}

}  // namespace

extern "C" {

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                   void* argument) noexcept {
  static const auto kNext =
      next<int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
  static const int64_t kAllowed = threads_allowed();
  static std::atomic<int64_t> begun = 0;
  if (begun.fetch_add(1) >= kAllowed) return EAGAIN;
  return kNext(thread, attributes, run, argument);
}

int clock_gettime(clockid_t id, timespec* out) noexcept {
  static const auto kNext = next<int (*)(clockid_t, timespec*)>("clock_gettime");
  static Clock monotonic, boot;
  const int result = kNext(id, out);
  if (result != 0 || control() == nullptr || (id != CLOCK_MONOTONIC && id != CLOCK_BOOTTIME)) {
    return result;
  }
  Clock& clock = id == CLOCK_MONOTONIC ? monotonic : boot;
  const int64_t shown = clock.scaled(out->tv_sec * kSecond + out->tv_nsec, rate());
  *out = {shown / kSecond, shown % kSecond};
  return 0;
}

int timerfd_settime(int fd, int flags, const itimerspec* wanted, itimerspec* old) noexcept {
  static const auto kNext =
      next<int (*)(int, int, const itimerspec*, itimerspec*)>("timerfd_settime");
  if ((flags & TFD_TIMER_ABSTIME) != 0) return kNext(fd, flags, wanted, old);
  const itimerspec scaled{divided(wanted->it_interval, rate()), divided(wanted->it_value, rate())};
  return kNext(fd, flags, &scaled, old);
}

int fdatasync(int fd) {
  static const auto kNext = next<int (*)(int)>("fdatasync");
  if (spoil(fd, &Control::sync_delay_us, &Control::sync_errno)) return -1;
  return kNext(fd);
}

ssize_t pread(int fd, void* data, size_t size, off_t offset) {
  static const auto kNext = next<ssize_t (*)(int, void*, size_t, off_t)>("pread");
  if (concerns(fd)) wait_us(control()->read_delay_us.load());
  return kNext(fd, data, size, offset);
}

ssize_t pread64(int fd, void* data, size_t size, off64_t offset) {
  return pread(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  static const auto kNext = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  if (spoil(fd, &Control::write_delay_us, &Control::write_errno)) return -1;
  return kNext(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  return pwrite(fd, data, size, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t size) {
  static const auto kNext = next<int (*)(int, int, off_t, off_t)>("fallocate");
  if (spoil(fd, &Control::write_delay_us, &Control::write_errno)) return -1;
  return kNext(fd, mode, offset, size);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
  return fallocate(fd, mode, offset, size);
}

}  // extern "C"
