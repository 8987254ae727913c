#include "bench/load/measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/net/address.h"

namespace holdfast::bench {

nlohmann::json Latencies::summary() {
  std::sort(ns_.begin(), ns_.end());
  const auto at = [&](double share) {
    if (ns_.empty()) return 0.0;
    const auto index = static_cast<size_t>(share * static_cast<double>(ns_.size() - 1));
    return static_cast<double>(ns_[index]) / 1000.0;
  };
  return {{"count", ns_.size()}, {"p50_us", at(0.5)}, {"p99_us", at(0.99)}, {"max_us", at(1)}};
}

double cpu_seconds(pid_t pid) {
  const std::string tasks = "/proc/" + (pid == 0 ? "self" : std::to_string(pid)) + "/task";
  double sum_ns = 0;
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator(tasks, gone)) {
    std::ifstream in(task.path() / "schedstat");
    double ran_ns = 0;
    if (in >> ran_ns) sum_ns += ran_ns;
  }
  return sum_ns * 1e-9;
}

int64_t memory_bytes(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("Pss:")) return std::stoll(line.substr(4)) * 1024;
  }
  return 0;
}

int64_t resident_bytes(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
  int64_t size = 0;
  int64_t resident = 0;
  if (!(in >> size >> resident)) return 0;
  return resident * ::sysconf(_SC_PAGESIZE);
}

int64_t written_bytes(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/io");
  std::string name;
  for (int64_t value = 0; in >> name >> value;) {
    if (name == "wchar:") return value;
  }
  return 0;
}

namespace {

struct ThreadState {
  char state = 0;
  int nice = 0;
};

/// Of /proc/PID/task/TID/stat (proc(5)): after the name in brackets the state is the first field,
/// the niceness the seventeenth.
ThreadState read_thread(const std::filesystem::path& folder) {
  constexpr int kFieldsBetween = 15;
  std::ifstream in(folder / "stat");
  in.ignore(1024, ')');
  ThreadState thread;
  std::string skipped;
  in >> thread.state;
  for (int i = 0; i < kFieldsBetween; ++i) in >> skipped;
  in >> thread.nice;
  return in ? thread : ThreadState{};
}

}  // namespace

bool low_priority_runs(pid_t pid) {
  std::error_code gone;
  const std::filesystem::path tasks = "/proc/" + std::to_string(pid) + "/task";
  const int usual = read_thread(tasks / std::to_string(pid)).nice;
  for (const auto& task : std::filesystem::directory_iterator(tasks, gone)) {
    const ThreadState thread = read_thread(task.path());
    if (thread.nice > usual && (thread.state == 'R' || thread.state == 'D')) return true;
  }
  return false;
}

int http_status(const std::string& address, const std::string& path) {
  const auto to = net::parse_address(address);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (!to || fd < 0) fail("no socket for " + address);
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(to->port);
  peer.sin_addr.s_addr = ::inet_addr(to->host.c_str());
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  int status = 0;
  char answer[64] = {};
  if (::connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof peer) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0 &&
      ::recv(fd, answer, sizeof answer - 1, 0) > 0) {
    const char* const number = std::strchr(answer, ' ');  // "HTTP/1.1 200 OK"
    if (number != nullptr) status = static_cast<int>(std::strtol(number, nullptr, 10));
  }
  ::close(fd);
  return status;
}

void raise_descriptor_limit(int64_t connections) {
  constexpr int64_t kOthers = 64;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const int64_t needed = connections + kOthers;
  if (limit.rlim_cur != RLIM_INFINITY && static_cast<uint64_t>(needed) > limit.rlim_cur) {
    fail(std::to_string(connections) + " connections need " + std::to_string(needed) +
         " descriptors, the limit of this process is " + std::to_string(limit.rlim_cur) +
         " (ulimit -n)");
  }
}

void add_rates(nlohmann::json& result, size_t operations, double seconds,
               std::pair<double, double> cpu_spent, bool servers_known) {
  const auto [servers, generator] = cpu_spent;
  const double each = 1e6 / std::max<double>(1, static_cast<double>(operations));
  result["seconds"] = seconds;
  result["per_second"] = static_cast<double>(operations) / seconds;
  result["generator_cpu_us_per_operation"] = generator * each;
  result["generator_cpu_cores"] = generator / seconds;
  if (!servers_known) return;
  result["servers_cpu_us_per_operation"] = servers * each;
  result["servers_cpu_cores"] = servers / seconds;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

void progress(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

void fail(const std::string& why) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, why.c_str());
  std::exit(1);
}

}  // namespace holdfast::bench
