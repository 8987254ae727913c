// Three servers of the bench's own, on loopback, with their data in a temporary directory.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

namespace holdfast::bench {

class Cluster {
 public:
  /// Starts `servers` processes of `program`. Ends the bench with a message if that fails.
  Cluster(const std::string& program, int servers);
  /// Kills the servers and removes their data.
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  std::vector<std::string> addresses() const;
  double total_cpu_seconds() const;
  int64_t total_memory_bytes() const;
  /// By client address.
  void signal(const std::string& address, int number) const;
  /// Kills with SIGKILL and waits for the end.
  void kill(const std::string& address);
  void restart(const std::string& address);

 private:
  struct Node {
    int id = 0;
    std::string client, peer, admin, http, data;
    pid_t pid = 0;
  };
  void start(Node& node, bool bootstrap);
  Node& find(const std::string& address);

  std::string program_;
  std::string directory_;
  std::vector<Node> nodes_;
};

}  // namespace holdfast::bench
