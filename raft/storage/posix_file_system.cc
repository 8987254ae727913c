#include "raft/storage/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace holdfast::raft {
namespace {

IoError last_error(const char* operation, const std::string& path) {
  return {errno, operation, path, {}};
}

/// Repeats a call that a signal interrupted.
template <class Call>
auto retried(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path) : fd_(descriptor), path_(std::move(path)) {}

  IoResult<size_t> read(uint64_t offset, char* out, size_t size) override {
    size_t done = 0;
    while (done < size) {
      const ssize_t n = retried([&] {
        return ::pread(fd_.get(), out + done, size - done, static_cast<off_t>(offset + done));
      });
      if (n < 0) return last_error("read", path_);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  IoStatus write(uint64_t offset, std::string_view bytes) override {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = retried([&] {
        return ::pwrite(fd_.get(), bytes.data() + done, bytes.size() - done,
                        static_cast<off_t>(offset + done));
      });
      if (n < 0) return last_error("write", path_);
      done += static_cast<size_t>(n);
    }
    return io_ok();
  }

  IoStatus allocate(uint64_t offset, uint64_t size) override {
    if (reserve(offset, size)) return io_ok();
    if (errno != EOPNOTSUPP && errno != ENOSYS) return last_error("allocate", path_);
    return zero_fill(offset, size);
  }

  IoStatus zero_fill(uint64_t offset, uint64_t size) override {
    // The reservation makes a full disk known at once and keeps the extents together; a file
    // system that has none of it is served by the zeros alone.
    if (!reserve(offset, size) && errno != EOPNOTSUPP && errno != ENOSYS) {
      return last_error("allocate", path_);
    }
    static constexpr std::array<char, 64 << 10> kZeros{};
    for (uint64_t at = 0; at < size; at += kZeros.size()) {
      const size_t part = std::min<uint64_t>(kZeros.size(), size - at);
      if (auto done = write(offset + at, {kZeros.data(), part}); !done) return done;
    }
    return io_ok();
  }

  IoStatus sync() override {
    // Never repeated: after a failure the kernel may have dropped the pages and report success.
    if (::fdatasync(fd_.get()) != 0) return last_error("sync", path_);
    return io_ok();
  }

  IoStatus truncate(uint64_t size) override {
    if (retried([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); }) != 0) {
      return last_error("truncate", path_);
    }
    return io_ok();
  }

  IoResult<uint64_t> size() override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return last_error("stat", path_);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  bool reserve(uint64_t offset, uint64_t size) {
    return retried([&] {
             return ::fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(size));
           }) == 0;
  }

  Descriptor fd_;
  std::string path_;
};

class PosixLock final : public FileLock {
 public:
  explicit PosixLock(int descriptor) : fd_(descriptor) {}

 private:
  Descriptor fd_;
};

std::string holder_of(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t n = ::pread(descriptor, text.data(), text.size() - 1, 0);
  std::string pid(text.data(), n > 0 ? static_cast<size_t>(n) : 0);
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  return pid.empty() ? "held by another process" : "held by the process with pid " + pid;
}

}  // namespace

IoResult<std::unique_ptr<File>> PosixFileSystem::open(const std::string& path, OpenMode mode) {
  int flags = O_CLOEXEC | (mode == OpenMode::kRead ? O_RDONLY : O_RDWR);
  if (mode == OpenMode::kCreate) flags |= O_CREAT | O_TRUNC;
  const int fd = retried([&] { return ::open(path.c_str(), flags, 0600); });
  if (fd < 0) return last_error("open", path);
  return std::unique_ptr<File>(std::make_unique<PosixFile>(fd, path));
}

IoStatus PosixFileSystem::create_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return io_ok();
  if (errno != EEXIST) return last_error("create directory", path);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return last_error("create directory", path);
  if (!S_ISDIR(info.st_mode)) return IoError{ENOTDIR, "create directory", path, {}};
  return io_ok();
}

IoResult<std::vector<std::string>> PosixFileSystem::list(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return last_error("list", path);
  std::vector<std::string> names;
  errno = 0;
  for (const dirent* entry = ::readdir(directory); entry != nullptr; entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  const int failure = errno;
  ::closedir(directory);
  if (failure != 0) return IoError{failure, "list", path, {}};
  std::sort(names.begin(), names.end());
  return names;
}

IoResult<bool> PosixFileSystem::exists(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return true;
  if (errno == ENOENT) return false;
  return last_error("stat", path);
}

IoStatus PosixFileSystem::rename(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return last_error("rename", from);
  return io_ok();
}

IoStatus PosixFileSystem::unlink(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return last_error("unlink", path);
  return io_ok();
}

IoStatus PosixFileSystem::sync_directory(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return last_error("open", path);
  if (::fsync(fd.get()) != 0) return last_error("sync", path);
  return io_ok();
}

// What is set aside for the superuser is not counted, even for a server that runs as one.
IoResult<uint64_t> PosixFileSystem::free_bytes(const std::string& path) {
  struct statvfs info {};
  if (retried([&] { return ::statvfs(path.c_str(), &info); }) != 0) {
    return last_error("statvfs", path);
  }
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

IoResult<std::unique_ptr<FileLock>> PosixFileSystem::lock(const std::string& path) {
  Descriptor fd(retried([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); }));
  if (fd.get() < 0) return last_error("open", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    IoError error = last_error("lock", path);
    if (error.number == EWOULDBLOCK) error.detail = holder_of(fd.get());
    return error;
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) != 0) return last_error("lock", path);
  const auto written = ::pwrite(fd.get(), pid.data(), pid.size(), 0);
  if (written != static_cast<ssize_t>(pid.size())) return last_error("lock", path);
  return std::unique_ptr<FileLock>(std::make_unique<PosixLock>(fd.release()));
}

}  // namespace holdfast::raft
