// "host:port" as operators and members write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::net {

/// Where to listen or whom to dial. `host` is a name, an IPv4 or an IPv6 literal (without
/// brackets).
struct Address {
  std::string host;
  uint16_t port = 0;
  friend bool operator==(const Address&, const Address&) = default;
};

/// Parses "host:port" or "[v6]:port"; port 0 is allowed (the kernel chooses when listening).
/// Errors (BAD_ARGUMENT) name the text and what is wrong with it.
Result<Address> parse_address(std::string_view text);

/// The same spelling back: IPv6 literals in brackets.
std::string to_string(const Address& address);

/// It stands for all addresses of a host: one can listen on it, nobody can dial it.
bool is_wildcard(const Address& address);

/// True for 127.0.0.0/8, ::1 and "localhost": what needs no --insecure.
bool is_loopback(const Address& address);

}  // namespace holdfast::net
