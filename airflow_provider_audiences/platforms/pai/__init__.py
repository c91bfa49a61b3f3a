"""Alibaba PAI: audience groups in both dialects of the service, their readiness, marker and refresh."""
