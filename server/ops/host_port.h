#ifndef ATTENTION_SERVER_OPS_HOST_PORT_H_
#define ATTENTION_SERVER_OPS_HOST_PORT_H_

#include <string>

#include "absl/strings/str_cat.h"

namespace attention::ops {

// "HOST:PORT". An IPv6 address stands in brackets before a port.
inline std::string HostPort(const std::string& host, int port) {
  const bool bare_ipv6 = host.find(':') != std::string::npos && host.front() != '[';
  return bare_ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_HOST_PORT_H_
