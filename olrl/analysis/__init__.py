"""Figures and reports from run folders; reads their files only."""
