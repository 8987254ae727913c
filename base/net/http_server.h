// A small HTTP server for operators' tools (/health, /ready, /metrics) over libevent's evhttp, on
// the loop's thread. GET and HEAD only; bodies of requests are refused.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/net/address.h"
#include "base/net/loop.h"

namespace holdfast::net {

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  /// Answers a request for `path` (without query). Called on the loop's thread.
  using Handler = std::function<HttpResponse(const std::string& path)>;

  /// Listens; port 0 lets the kernel choose. Errors name the address. Who comes while the process
  /// could open no more than `descriptors_kept` files waits until it can.
  static Result<std::unique_ptr<HttpServer>> open(Loop& loop, const Address& address,
                                                  Handler handler, uint32_t descriptors_kept = 0);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  uint16_t port() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::net
