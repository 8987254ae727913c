#include "bench/load/cluster.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bench/load/command.h"
#include "bench/load/measure.h"

namespace holdfast::bench {
namespace {

constexpr size_t kAddressesEach = 4;

/// Ports that were free a moment ago; all are held until all are known.
std::vector<std::string> free_addresses(size_t count) {
  std::vector<int> sockets;
  std::vector<std::string> addresses;
  for (size_t i = 0; i < count; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (fd < 0 || ::bind(fd, generic, size) != 0 || ::getsockname(fd, generic, &size) != 0) {
      fail("no free port on loopback");
    }
    addresses.push_back("127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
    sockets.push_back(fd);
  }
  for (const int fd : sockets) ::close(fd);
  return addresses;
}

}  // namespace

Cluster::Cluster(const std::string& program, int servers) : program_(program) {
  std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) fail("cannot make a directory like " + pattern);
  directory_ = pattern;
  const auto free = free_addresses(static_cast<size_t>(servers) * kAddressesEach);
  for (int i = 0; i < servers; ++i) place(free.data() + static_cast<size_t>(i) * kAddressesEach);
  std::string members;
  for (const Node& node : nodes_) {
    members += (members.empty() ? "" : ",") + std::to_string(node.id) + "=" + node.peer;
  }
  for (Node& node : nodes_) {
    node.founding = {"--initial_cluster=" + members};
    if (node.id == 1) node.founding.push_back("--bootstrap");
    start(node);
    node.founding.resize(1);
  }
}

Cluster::Node& Cluster::place(const std::string* addresses) {
  const int id = static_cast<int>(nodes_.size()) + 1;
  nodes_.push_back({id, addresses[0], addresses[1], addresses[2], addresses[3],
                    directory_ + "/" + std::to_string(id)});
  return nodes_.back();
}

std::string Cluster::start_another(const std::string& member) {
  const std::string peer = get(member).peer;
  Node& node = place(free_addresses(kAddressesEach).data());
  node.founding = {"--join=" + peer};
  start(node);
  return node.client;
}

void Cluster::add(const std::string& address, const std::string& member) {
  const Node& node = get(address);
  Command({"member", "add", std::to_string(node.id), node.peer, "--admin=" + admin(member)}).wait();
}

void Cluster::start(Node& node) {
  std::vector<std::string> words = {program_,
                                    "--node_id=" + std::to_string(node.id),
                                    "--data_dir=" + node.data,
                                    "--client_address=" + node.client,
                                    "--peer_address=" + node.peer,
                                    "--admin_address=" + node.admin,
                                    "--http_address=" + node.http};
  words.insert(words.end(), node.founding.begin(), node.founding.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log = node.data + ".log";
  // Of this program's memory nothing is copied, not even page by page later: it measures meanwhile.
  const pid_t pid = ::vfork();
  if (pid < 0) fail("cannot start " + program_);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = ::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
    ::dup2(fd, STDERR_FILENO);
    ::dup2(fd, STDOUT_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  node.pid = pid;
}

Cluster::~Cluster() {
  for (const Node& node : nodes_) {
    if (node.pid == 0) continue;
    ::kill(node.pid, SIGKILL);
    ::waitpid(node.pid, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::vector<std::string> Cluster::addresses() const {
  std::vector<std::string> out;
  for (const Node& node : nodes_) out.push_back(node.client);
  return out;
}

double Cluster::total_cpu_seconds() const {
  double sum = 0;
  for (const Node& node : nodes_) {
    if (node.pid != 0) sum += cpu_seconds(node.pid);
  }
  return sum;
}

int64_t Cluster::total_memory_bytes() const {
  int64_t sum = 0;
  for (const Node& node : nodes_) {
    if (node.pid != 0) sum += memory_bytes(node.pid);
  }
  return sum;
}

int64_t Cluster::total_written_bytes() const {
  int64_t sum = 0;
  for (const Node& node : nodes_) {
    if (node.pid != 0) sum += written_bytes(node.pid);
  }
  return sum;
}

const Cluster::Node& Cluster::get(const std::string& address) const {
  for (const Node& node : nodes_) {
    if (node.client == address) return node;
  }
  fail("no server of the bench's own has the address " + address);
}

Cluster::Node& Cluster::find(const std::string& address) { return const_cast<Node&>(get(address)); }

void Cluster::signal(const std::string& address, int number) const {
  for (const Node& node : nodes_) {
    if (node.client == address && node.pid != 0) ::kill(node.pid, number);
  }
}

void Cluster::kill(const std::string& address) {
  Node& node = find(address);
  ::kill(node.pid, SIGKILL);
  ::waitpid(node.pid, nullptr, 0);
  node.pid = 0;
}

void Cluster::stop(const std::string& address) {
  Node& node = find(address);
  ::kill(node.pid, SIGTERM);
  ::waitpid(node.pid, nullptr, 0);
  node.pid = 0;
}

bool Cluster::answers(const std::string& address) const {
  return http_status(get(address).http, "/ready") != 0;
}

bool Cluster::ready(const std::string& address) const {
  constexpr int kReady = 200;
  return http_status(get(address).http, "/ready") == kReady;
}

bool Cluster::works_behind(const std::string& address) const {
  return low_priority_runs(get(address).pid);
}

int64_t Cluster::resident_bytes(const std::string& address) const {
  return bench::resident_bytes(get(address).pid);
}

int64_t Cluster::disk_bytes(const std::string& address) const {
  int64_t sum = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(get(address).data)) {
    std::error_code gone;
    const auto size = file.file_size(gone);
    if (!gone && file.is_regular_file(gone)) sum += static_cast<int64_t>(size);
  }
  return sum;
}

void Cluster::destroy_snapshot(const std::string& address) const {
  const std::filesystem::path folder = get(address).data + "/group-1/snapshot";
  std::string name;
  std::getline(std::ifstream(folder / "CURRENT") >> std::ws, name);
  if (name.empty()) fail("server " + address + " has no snapshot to be destroyed");
  std::filesystem::remove(folder / (name + "-wal"));
  std::filesystem::remove(folder / (name + "-shm"));
  std::ofstream(folder / name, std::ios::trunc) << std::string(4096, 'x');
}

void Cluster::restart(const std::string& address) { start(find(address)); }

}  // namespace holdfast::bench
