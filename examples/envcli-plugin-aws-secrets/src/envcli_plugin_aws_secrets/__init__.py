"""Environments in AWS Secrets Manager."""
